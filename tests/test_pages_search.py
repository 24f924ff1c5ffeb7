"""What an address of the History page asks for, and how what was found is laid out."""

import pytest
from django.http import QueryDict

from dashboard.search.asked import Asked, read_address
from dashboard.search.histogram import histogram, is_countable
from dashboard.search.matches import mark, mark_pattern
from dashboard.search.rows import EventRow, GapRow, busiest_types, colours, rows_of
from dashboard.search.scope import sources_in_scope
from eventhub.brokers.contract import Gap
from eventhub.events.event import Event, Flag
from eventhub.events.identity import EventIds
from eventhub.query.parse import parse
from eventhub.store.contract import Count, Page, StoredGap, Window

NOW = 1_763_000_000_000
HOUR = 3_600_000
MINUTE = 60_000


def asked(address: str) -> Asked:
    return read_address(QueryDict(address), NOW)


def event(time: int, payload: bytes = b"{}", **fields: object) -> Event:
    (event_id,) = EventIds().take(1, time)
    fields = {"destination": "orders", "type": "OrderPlaced", **fields}
    return Event(id=event_id, source_id=1, payload=payload, payload_size=len(payload), **fields)  # type: ignore[arg-type]


def laid_out(
    events: list[Event], gaps: list[StoredGap], *, newest: int | None, back_to: int, query: str = ""
) -> list[EventRow | GapRow]:
    return rows_of(
        Page(events, None, back_to, len(events)),
        gaps,
        newest=newest,
        sources={1: "shop"},
        colours=colours(["OrderPlaced"]),
        marks=mark_pattern(parse(query)),
    )


class TestTheAddress:
    def test_without_a_window_it_is_the_last_day(self) -> None:
        assert asked("").window == Window(NOW + 1 - 24 * HOUR, NOW + 1)

    def test_an_event_of_this_millisecond_is_within(self) -> None:
        assert asked("window=15m").window.end > NOW

    @pytest.mark.parametrize("zone", ["2025-11-13T01:00:00Z", "2025-11-13T02:00:00%2B01:00"])
    def test_a_range_may_name_its_zone(self, zone: str) -> None:
        assert asked(f"from={zone}").window.start == 1_762_995_600_000

    def test_a_range_without_a_zone_is_utc(self) -> None:
        assert asked("from=2025-11-13T01:00").window.start == 1_762_995_600_000

    @pytest.mark.parametrize(
        "address", ["from=yesterday", "to=%00", "from=2025-13-45", "from=9&to=3", "from=²"]
    )
    def test_a_range_that_cannot_be_read_is_told_and_replaced(self, address: str) -> None:
        read = asked(address)
        assert read.window_error
        assert read.window == asked("").window

    def test_numbers_beyond_any_clock_do_not_break_the_page(self) -> None:
        assert asked("from=1&to=99999999999999999999").window.end < 1 << 48

    def test_a_query_that_cannot_be_read_points_at_the_character(self) -> None:
        read = asked("q=type:a+)+x")
        assert read.error is not None
        assert read.error_parts() == ("type:a ", ")", " x")

    def test_an_unknown_window_or_cursor_is_passed_over(self) -> None:
        read = asked("window=9y&before=zz")
        assert read.chosen == "24h"
        assert read.before is None

    def test_the_next_slice_keeps_the_window_where_it_was(self) -> None:
        later = read_address(QueryDict("window=1h"), NOW).fixed
        assert later == {
            "q": "",
            "from": str(NOW + 1 - HOUR),
            "to": str(NOW + 1),
            "now": str(NOW),
        }
        assert read_address(QueryDict(f"now={NOW}&q=time:>now-1m"), NOW + HOUR).now == NOW


class TestGapsAmongRows:
    def gap(self, ended: int) -> StoredGap:
        return StoredGap(ended, 1, Gap("overflow", ended - 10, ended))

    def test_a_gap_stands_where_it_ended(self) -> None:
        rows = laid_out(
            [event(NOW - 1000), event(NOW - 3000)], [self.gap(NOW - 2000)], newest=None, back_to=0
        )
        assert [isinstance(row, GapRow) for row in rows] == [False, True, False]

    def test_a_gap_that_goes_on_after_the_window_is_on_the_first_page(self) -> None:
        rows = laid_out([event(NOW - 1000)], [self.gap(NOW + HOUR)], newest=None, back_to=0)
        assert isinstance(rows[0], GapRow)

    def test_each_gap_is_on_one_page_only(self) -> None:
        gaps = [self.gap(NOW - offset) for offset in range(0, 10_000, 500)]
        edge = NOW - 5000
        first = laid_out([event(edge)], gaps, newest=None, back_to=edge)
        second = laid_out([event(NOW - 9000)], gaps, newest=edge, back_to=0)
        shown = [row.stored.id for row in [*first, *second] if isinstance(row, GapRow)]
        assert sorted(shown) == sorted(gap.id for gap in gaps)


class TestRows:
    def one(self, found: Event, query: str = "") -> EventRow:
        (row,) = laid_out([found], [], newest=None, back_to=0, query=query)
        assert isinstance(row, EventRow)
        return row

    def test_a_match_is_marked_where_it_stands(self) -> None:
        row = self.one(event(NOW, b'{"reason":"Card Declined"}'), '"card declined"')
        assert ("Card Declined", True) in row.preview
        assert "".join(text for text, _ in row.preview) == '{"reason":"Card Declined"}'

    def test_a_match_far_behind_the_beginning_is_shown_with_its_surroundings(self) -> None:
        row = self.one(event(NOW, b"word " * 500 + b"needle" + b" word" * 500), "needle")
        assert ("needle", True) in row.preview
        assert row.preview[0][0].startswith("…")

    def test_what_is_left_out_of_a_search_is_not_marked(self) -> None:
        row = self.one(event(NOW, b"alpha beta"), "alpha NOT gamma")
        assert [text for text, found in row.preview if found] == ["alpha"]
        assert mark_pattern(parse("NOT alpha")) is None

    def test_a_type_of_a_megabyte_is_cut(self) -> None:
        assert len(self.one(event(NOW, type="T" * 1_000_000)).type or "") < 200

    def test_flags_become_badges(self) -> None:
        row = self.one(event(NOW, b"\xff", flags=int(Flag.BINARY | Flag.TRUNCATED), redeliveries=2))
        assert (row.binary, row.cut, row.redelivered) == (True, True, True)


def test_marking_long_text_is_fast_whatever_is_asked() -> None:
    pattern = mark_pattern(parse('a*b*c* "x y z" payload.k:*q*w*'))
    text = "a" * 200_000 + " x" * 50_000
    assert "".join(piece for piece, _ in mark(text, pattern)) == text


class TestHistogram:
    WINDOW = Window(NOW - NOW % MINUTE - HOUR, NOW - NOW % MINUTE)

    def counts(self) -> list[Count]:
        start = self.WINDOW.start
        return [
            Count(start, 1, "orders", "OrderPlaced", 30, 1),
            Count(start, 1, "orders", "PaymentFailed", 10, 1),
            Count(start + MINUTE, 2, "ticks", "TickQuoted", 100, 1),
        ]

    def made(self, query: str):  # type: ignore[no-untyped-def]
        return histogram(
            parse(query),
            self.counts(),
            [],
            self.WINDOW,
            sources={1: "shop", 2: "ticks"},
            now=NOW,
            oldest=self.WINDOW.start + 30 * MINUTE,
        )

    @pytest.mark.parametrize(
        ("query", "total"),
        [
            ("", 140),
            ("source:shop", 40),
            ("type:Payment* OR destination:ticks", 110),
            ("NOT type:TickQuoted", 40),
            ("type:Nothing", 0),
        ],
    )
    def test_it_counts_what_the_query_asks(self, query: str, total: int) -> None:
        assert is_countable(parse(query))
        assert self.made(query).total == total

    @pytest.mark.parametrize("query", ["declined", "payload.a:1", "is:binary", "type:A key:1"])
    def test_it_is_left_out_where_the_rollups_cannot_know(self, query: str) -> None:
        assert not is_countable(parse(query))

    def test_a_bar_is_as_high_as_its_pieces(self) -> None:
        drawn = self.made("")
        tallest = max(drawn.bars, key=lambda bar: bar.events)
        assert sum(piece.height for piece in tallest.pieces) == pytest.approx(94)
        assert all(bar.x + bar.width <= 1000 for bar in drawn.bars)

    def test_what_is_not_kept_is_not_drawn_as_nothing(self) -> None:
        assert self.made("").unkept == pytest.approx(500)

    def test_the_busiest_types_have_the_colours(self) -> None:
        assert self.made("").types == [
            ("TickQuoted", 1, 100),
            ("OrderPlaced", 2, 30),
            ("PaymentFailed", 3, 10),
        ]


def test_a_type_too_long_for_an_address_gets_no_colour() -> None:
    assert busiest_types([("T" * 1000, 50), ("Short", 1), (None, 9)]) == ["Short"]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", {"shop", "ticks", "chat"}),
        ("source:shop", {"shop"}),
        ("source:shop type:A", {"shop"}),
        ("source:shop OR source:chat", {"shop", "chat"}),
        ("source:shop OR type:A", {"shop", "ticks", "chat"}),
        ("NOT source:shop", {"ticks", "chat"}),
        ("NOT (source:shop type:A)", {"shop", "ticks", "chat"}),
        ("source:t*", {"ticks"}),
        ("source:shop source:chat", set()),
        ("declined is:binary", {"shop", "ticks", "chat"}),
    ],
)
def test_gaps_are_those_of_sources_that_the_query_does_not_rule_out(
    query: str, left: set[str]
) -> None:
    sources = {1: "shop", 2: "ticks", 3: "chat"}
    assert {sources[one] for one in sources_in_scope(parse(query), sources)} == left
