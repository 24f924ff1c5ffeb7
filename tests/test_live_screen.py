"""A screen counts exactly, draws a fair sample within its budget, and never grows."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event, Flag
from eventhub.events.identity import EventIds
from eventhub.live.rows import LONGEST_PREVIEW, LONGEST_TEXT, row_of
from eventhub.live.sampling import fair_shares, spread
from eventhub.live.screen import DRAW_BUDGET, MOST_TYPES, Hole, Screen, match

NOW = 1_770_000_000_000
IDS = EventIds()


def some_events(count: int, type: str | None = "OrderPlaced", at: int = NOW) -> list[Event]:
    payload = b'{"order": 4711}'
    return [
        Event(event_id, 1, "orders.placed", payload, len(payload), type=type)
        for event_id in IDS.take(count, at)
    ]


class TestFairShares:
    @given(st.lists(st.integers(0, 500), max_size=40), st.integers(0, 300))
    def test_never_give_more_than_there_is_or_fits_and_never_less(
        self, sizes: list[int], room: int
    ) -> None:
        shares = fair_shares(sizes, room)
        assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
        assert sum(shares) <= room
        if all(sizes):
            assert sum(shares) == min(room, sum(sizes))

    @given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(0, 300))
    def test_a_group_that_is_cut_gets_as_much_as_any_other(
        self, sizes: list[int], room: int
    ) -> None:
        shares = fair_shares(sizes, room)
        most = max(shares)
        for share, size in zip(shares, sizes, strict=True):
            assert share == size or share >= most - 1

    @given(st.lists(st.integers(), max_size=60), st.integers(0, 70))
    def test_a_spread_keeps_the_order_the_number_and_the_last(
        self, items: list[int], count: int
    ) -> None:
        chosen = spread(items, count)
        assert len(chosen) == min(count, len(items))
        rest = iter(items)
        assert all(item in rest for item in chosen)
        assert not chosen or chosen[-1] == items[-1]


class TestScreen:
    def test_a_burst_within_the_budget_is_drawn_whole(self) -> None:
        screen = Screen(NOW)
        screen.add(match(some_events(DRAW_BUDGET), "shop"))
        piece = screen.cut(NOW + 100)
        assert piece.matched == len(piece.events) == DRAW_BUDGET

    def test_a_flood_is_counted_exactly_and_drawn_within_the_budget(self) -> None:
        screen = Screen(NOW)
        matched = drawn = 0
        for tenth in range(1, 101):
            screen.add(match(some_events(1000, "TickQuoted"), "ticks"))
            screen.passed(1000)
            piece = screen.cut(NOW + 100 * tenth)
            assert piece.types == [("TickQuoted", 1000)]
            assert piece.passed == 1000
            matched += piece.matched
            drawn += len(piece.events)
        assert matched == 100_000
        assert 10 * DRAW_BUDGET <= drawn <= 11 * DRAW_BUDGET

    def test_a_rare_type_is_not_lost_in_a_flood(self) -> None:
        screen = Screen(NOW)
        seen: Counter[str | None] = Counter()
        for tenth in range(1, 101):
            events = some_events(1000, "TickQuoted") + some_events(1, "PaymentFailed")
            screen.add(match(events, "ticks"))
            seen.update(row.type for row in screen.cut(NOW + 100 * tenth).events)
        assert seen["PaymentFailed"] == 100
        assert seen["TickQuoted"] > 900

    def test_more_types_than_rows_take_turns(self) -> None:
        screen = Screen(NOW)
        seen: Counter[str | None] = Counter()
        for tenth in range(1, 51):
            for number in range(60):
                screen.add(match(some_events(5, f"type-{number}"), "shop"))
            seen.update(row.type for row in screen.cut(NOW + 100 * tenth).events)
        assert len(seen) == 60
        assert max(seen.values()) - min(seen.values()) <= 12

    def test_a_page_that_looks_rarely_gets_one_slice_with_all_counts_and_no_more_rows(self) -> None:
        screen = Screen(NOW)
        screen.cut(NOW)
        for tenth in range(300):
            screen.add(match(some_events(200, at=NOW + 100 * tenth), "shop"))
        piece = screen.cut(NOW + 30_000)
        assert (piece.start, piece.end) == (NOW, NOW + 30_000)
        assert piece.matched == 60_000
        assert len(piece.events) == DRAW_BUDGET
        assert piece.events[-1].time == NOW + 29_900

    def test_rows_are_oldest_first_whatever_the_order_of_the_frames(self) -> None:
        screen = Screen(NOW)
        early, late = some_events(3, at=NOW + 5), some_events(3, at=NOW + 50)
        screen.add(match(late, "shop"))
        screen.add(match(early, "ticks"))
        rows = screen.cut(NOW + 100).events
        assert [row.id for row in rows] == [event.uuid for event in early + late]

    def test_a_new_type_with_every_event_is_counted_but_not_named(self) -> None:
        screen = Screen(NOW)
        for number in range(5 * MOST_TYPES):
            screen.add(match(some_events(2, f"order-{number}"), "shop"))
        piece = screen.cut(NOW + 1000)
        assert len(piece.types) == MOST_TYPES
        assert sum(count for _, count in piece.types) + piece.other_types == piece.matched
        assert piece.matched == 10 * MOST_TYPES

    def test_what_was_caught_up_comes_beside_the_budget(self) -> None:
        screen = Screen(NOW)
        rows = [row_of(event, "shop") for event in some_events(500)]
        screen.catch_up(rows[100:], rows[:100])
        piece = screen.cut(NOW)
        assert piece.matched == len(piece.events) == 400
        assert piece.again == rows[:100]

    def test_gaps_and_holes_are_told_once(self) -> None:
        screen = Screen(NOW)
        gap = Gap("lost its subscription", NOW - 7, NOW)
        screen.add_gaps("sensors", [gap])
        screen.add_hole(Hole(NOW - 100, NOW, "too many"))
        assert screen.has_news
        piece = screen.cut(NOW)
        assert [(each.source, each.gap) for each in piece.gaps] == [("sensors", gap)]
        assert piece.holes[0].reason == "too many"
        assert not screen.has_news
        assert not screen.cut(NOW).gaps


class TestRows:
    def test_a_row_shows_the_start_of_a_payload_on_one_line(self) -> None:
        payload = json.dumps({"text": "a" * 5000}, indent=2).encode()
        event = Event(IDS.take(1, NOW)[0], 1, "chat", payload, len(payload))
        row = row_of(event, "chat")
        assert row.preview.startswith('{ "text": "aaa')
        assert len(row.preview) == LONGEST_PREVIEW
        assert row.size == len(payload)

    def test_a_character_cut_in_half_is_left_out(self) -> None:
        payload = ("x" * (LONGEST_PREVIEW * 4 - 1) + "€").encode()
        row = row_of(Event(IDS.take(1, NOW)[0], 1, "chat", payload, len(payload)), "chat")
        assert "\ufffd" not in row.preview

    def test_a_type_and_a_key_of_any_length_are_cut(self) -> None:
        event = Event(
            IDS.take(1, NOW)[0], 1, "d" * 9000, b"", 0, type="t" * 1_000_000, key="k" * 10_000
        )
        row = row_of(event, "chat")
        assert len(row.type or "") == len(row.key or "") == len(row.destination) == LONGEST_TEXT

    def test_what_is_special_is_named_and_binary_has_no_preview(self) -> None:
        flags = Flag.REDELIVERED | Flag.BINARY
        event = Event(IDS.take(1, NOW)[0], 1, "d", b"\xff\x00", 2, flags=flags)
        row = row_of(event, "chat")
        assert row.flags == ["redelivered", "binary"]
        assert row.preview == ""
