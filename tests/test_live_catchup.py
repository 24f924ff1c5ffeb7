"""What a page reads that comes back, and what it has seen already."""

from eventhub.events.identity import EventIds
from eventhub.live.catchup import BEFORE, HORIZON, MOST_BEFORE, OVERLAP, Recent, plan, unread
from eventhub.live.screen import MOST_CAUGHT_UP, Hole
from eventhub.store.contract import Page, Window

NOW = 1_770_000_000_000


def test_reading_begins_before_what_was_seen_because_commits_come_late() -> None:
    todo = plan(NOW - 2000, NOW)
    assert todo.window == Window(NOW - 2000 - OVERLAP, NOW + OVERLAP)
    assert todo.limit == MOST_CAUGHT_UP
    assert todo.hole is None


def test_a_page_that_was_away_for_long_is_told_what_it_does_not_get() -> None:
    todo = plan(NOW - HORIZON - 60_000, NOW)
    assert todo.window.start == NOW - HORIZON
    assert todo.hole is not None
    assert (todo.hole.start, todo.hole.end) == (NOW - HORIZON - 60_000, NOW - HORIZON)


def test_a_cursor_of_the_future_reads_from_now() -> None:
    assert plan(NOW + 90_000, NOW) == plan(NOW, NOW)


def test_a_page_that_opens_begins_with_the_last_minute() -> None:
    todo = plan(None, NOW)
    assert (todo.window.start, todo.limit, todo.hole) == (NOW - BEFORE, MOST_BEFORE, None)


def test_a_search_that_stopped_early_leaves_a_hole_up_to_where_it_looked() -> None:
    window = Window(NOW - 10_000, NOW)
    page = Page([], b"cursor", NOW - 4000, 9)
    assert unread(page, window, NOW - 8000) == Hole(
        NOW - 8000, NOW - 4000, "more than can be read at once"
    )


def test_a_search_that_reached_what_was_seen_leaves_none() -> None:
    window = Window(NOW - 10_000, NOW)
    assert unread(Page([], b"cursor", NOW - 9000, 9), window, NOW - 8000) is None
    assert unread(Page([], None, NOW - 10_000, 9), window, NOW - 8000) is None


def test_recent_tells_what_came_before_a_mark_from_what_came_after() -> None:
    ids = EventIds().take(3, NOW)
    recent = Recent()
    recent.add(ids[:1])
    mark = recent.mark
    recent.add(ids[1:2])
    assert [recent.since(each, mark) for each in ids] == [False, True, False]
    assert [recent.since(each, 0) for each in ids] == [True, True, False]


def test_recent_forgets_the_oldest_and_stays_within_its_room() -> None:
    ids = EventIds()
    recent = Recent(room=1000)
    first = ids.take(100, NOW)
    recent.add(first)
    for _ in range(100):
        recent.add(ids.take(100, NOW))
    last = ids.take(100, NOW)
    recent.add(last)
    assert not recent.since(first[0], 0)
    assert all(recent.since(each, 0) for each in last)
    assert len(recent) <= 1000
