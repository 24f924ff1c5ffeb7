"""What every store must do. A test class inherits `EventStoreContract` and gives it a `rig`."""

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event, Flag
from eventhub.events.headers import encode_headers
from eventhub.events.identity import EventIds, first_id
from eventhub.events.text import storable
from eventhub.query.parse import parse
from eventhub.query.predicate import predicate
from eventhub.query.tree import And, Everything, Match, Node, Not, Or
from eventhub.store.contract import (
    Batch,
    Count,
    EventReader,
    EventRetention,
    EventWriter,
    Page,
    StoreUnavailable,
    Superseded,
    Window,
    Written,
)
from tests.query_cases import CASES, NOW, SOURCES, Case, build
from tests.servers.process import wait_until

__all__ = [
    "DAY", "EventStoreContract", "Rig", "events_of", "kept", "more_than", "new_source", "now",
    "prune_all", "write",
]  # fmt: skip

DEADLINE: Final = 30.0
"""Seconds within which whatever a test waits for must have come."""
DAY: Final = 86_400_000
ALL: Final = Window(0, 1 << 47)
_ids = EventIds()
_sources = itertools.count(1_000)


class Rig(ABC):
    """A store of its own, as an installation has it."""

    reader: EventReader
    retention: EventRetention

    @abstractmethod
    def writer(self) -> EventWriter:
        """A new one, for the thread that asks."""

    @abstractmethod
    def kill(self) -> None:
        """End, by force, the process that commits; it is started again by itself or by this."""

    @abstractmethod
    @contextmanager
    def away(self) -> Iterator[None]:
        """The store cannot write."""
        yield


def now() -> int:
    return time.time_ns() // 1_000_000


def new_source() -> int:
    return next(_sources)


def events_of(
    source_id: int, count: int, *, at: int | None = None, payload: bytes = b"{}", **fields: Any
) -> list[Event]:
    """Events like each other, observed at one time (ms)."""
    values = {"destination": "orders", "payload_size": len(payload), **fields}
    return [
        Event(id=made, source_id=source_id, payload=payload, **values)
        for made in EventIds().take(count, now() if at is None else at)
    ]


def write(writer: EventWriter, batch: Batch) -> Written:
    """As a collector does: until the store says that it is done."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return writer.write(batch)
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the store did not come back"
            time.sleep(0.02)


def store(rig: Rig, events: list[Event], **fields: Any) -> None:
    """Each source's events in a batch."""
    writer = rig.writer()
    for source_id in sorted({event.source_id for event in events}):
        own = [event for event in events if event.source_id == source_id]
        writer.write(Batch(source_id, own, **fields))
    writer.close()


def kept(rig: Rig, *source_ids: int) -> list[Event]:
    """All events of these sources, oldest first."""
    found: list[Event] = []
    cursor = bytes(16)
    while events := rig.reader.after(cursor, sources=source_ids, limit=1_000):
        found += events
        cursor = events[-1].id
    return found


def pages(
    rig: Rig, query: Node, sources: dict[int, str], window: Window = ALL, **limits: Any
) -> list[Page]:
    found: list[Page] = []
    before: bytes | None = None
    while True:
        page = rig.reader.search(query, window, sources=sources, before=before, **limits)
        found.append(page)
        if page.cursor is None:
            return found
        assert before is None or page.cursor < before, "a page that comes no farther"
        before = page.cursor


def found_by(rig: Rig, text: str, source_id: int, window: Window = ALL) -> list[bytes]:
    """Ids, newest first."""
    found = pages(rig, parse(text), {source_id: "shop"}, window, seconds=DEADLINE)
    return [event.id for page in found for event in page.events]


_texts: Final = st.one_of(
    st.text(max_size=50),
    st.sampled_from(
        ["'; DROP TABLE events; --", "%s", "%(id)s", "?", "\\", '"', "\\N", "\t\n\r", "😀" * 300]
    ),
).map(lambda text: storable(text) or "")
_maybe: Final = st.none() | _texts
_int64: Final = st.integers(-(2**63), 2**63 - 1)
_events: Final = st.builds(
    Event,
    id=st.just(b""),
    source_id=st.just(0),
    destination=_texts,
    payload=st.binary(max_size=200) | st.sampled_from([b"\0", b"\xff\xfe\0", b"[" * 10_000]),
    payload_size=st.integers(0, 2**40),
    type=_maybe,
    key=_maybe,
    correlation_id=_maybe,
    message_id=_maybe,
    content_type=_maybe,
    content_encoding=_maybe,
    position=_maybe,
    event_time=st.none() | _int64,
    broker_time=st.none() | _int64,
    headers=st.lists(
        st.tuples(_texts, _texts | st.binary(max_size=9) | st.integers() | st.none()), max_size=4
    ).map(encode_headers),
    flags=st.integers(0, 7),
    redeliveries=st.integers(0, 5),
)
_thorough: Final = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def placed(event: Event, source_id: int, at: int | None = None) -> Event:
    """The same event as this source's, with an id."""
    values = {name: getattr(event, name) for name in Event.__struct_fields__}
    (made,) = _ids.take(1, now()) if at is None else EventIds().take(1, at)
    return Event(**{**values, "id": made, "source_id": source_id})


class Library(NamedTuple):
    """What the query table is searched in."""

    events: list[Event]
    sources: dict[int, str]

    def __repr__(self) -> str:
        return f"{len(self.events)} events"


class EventStoreContract:
    """Inherit it, and add a fixture `rig` for the class."""

    @pytest.fixture(scope="class")
    @classmethod
    def rig(cls) -> Rig:
        raise NotImplementedError

    # What goes in comes out

    @_thorough
    @given(drawn=st.lists(_events, min_size=1, max_size=20))
    def test_every_field_comes_back_as_it_was(self, rig: Rig, drawn: list[Event]) -> None:
        source_id = new_source()
        events = [placed(event, source_id) for event in drawn]
        store(rig, events)
        assert kept(rig, source_id) == events
        assert rig.reader.get(events[0].id) == events[0]
        assert type(kept(rig, source_id)[0].payload) is bytes

    def test_what_is_huge_is_stored_whole_and_found(self, rig: Rig) -> None:
        source_id = new_source()
        (event,) = events_of(
            source_id,
            1,
            payload=bytes(range(256)) * 20_480,
            type="T" * 1_000_000,
            key="k" * 10_000,
            destination="d" * 5_000,
            message_id="m" * 200,
            correlation_id="c" * 201,
        )
        (other,) = events_of(source_id, 1, type="T" * 999_999, message_id="m" * 199)
        store(rig, [event, other])
        assert rig.reader.get(event.id) == event
        for field, name in (
            ("type", "type"), ("key", "key"), ("destination", "destination"),
            ("message_id", "message_id"), ("correlation", "correlation_id"),
        ):  # fmt: skip
            page = rig.reader.search(
                Match((field,), getattr(event, name)), ALL, sources={source_id: "shop"}
            )
            assert [found.id for found in page.events] == [event.id], field
        assert rig.reader.neighbours(event) == (None, None)

    def test_a_batch_of_a_thousand_is_stored_in_its_order(self, rig: Rig) -> None:
        source_id = new_source()
        events = events_of(source_id, 1_000, payload=b"x" * 1_000)
        assert rig.writer().write(Batch(source_id, events)) == Written(1_000, 0)
        assert kept(rig, source_id) == events

    def test_a_batch_may_hold_events_of_two_days(self, rig: Rig) -> None:
        source_id = new_source()
        events = events_of(source_id, 2, at=NOW) + events_of(source_id, 2, at=NOW + DAY)
        rig.writer().write(Batch(source_id, events))
        assert kept(rig, source_id) == events

    def test_an_unknown_event_is_none(self, rig: Rig) -> None:
        assert rig.reader.get(first_id(now())) is None

    # Order and pages

    def test_pages_go_back_in_time_and_meet_each_event_once(self, rig: Rig) -> None:
        sources = {new_source(): "a", new_source(): "b"}
        moment = now()
        events = [
            event
            for n in range(25)
            for source_id in sources
            for event in events_of(source_id, 3, at=moment + n)
        ]
        store(rig, events)
        found = pages(rig, Everything(), sources, limit=7)
        ids = [event.id for page in found for event in page.events]
        assert ids == sorted((event.id for event in events), reverse=True)
        assert all(len(page.events) <= 7 for page in found)

    def test_a_window_has_its_start_but_not_its_end(self, rig: Rig) -> None:
        source_id = new_source()
        events = [events_of(source_id, 1, at=NOW + n)[0] for n in range(5)]
        store(rig, events)
        found = found_by(rig, "*", source_id, Window(NOW + 1, NOW + 4))
        assert found == [event.id for event in events[3:0:-1]]

    def test_only_the_given_sources_are_searched(self, rig: Rig) -> None:
        seen, hidden = new_source(), new_source()
        store(rig, events_of(seen, 2, type="T") + events_of(hidden, 2, type="T"))
        for text in ("*", "type:T", "NOT type:X", "type:T OR type:X"):
            page = rig.reader.search(parse(text), ALL, sources={seen: "shop"})
            assert {event.source_id for event in page.events} == {seen}, text
        assert rig.reader.search(Everything(), ALL, sources={}).events == []
        assert rig.reader.after(bytes(16), sources=[], limit=10) == []

    def test_catching_up_goes_on_after_the_cursor(self, rig: Rig) -> None:
        source_id = new_source()
        first, second = events_of(source_id, 3, at=NOW), events_of(source_id, 3, at=NOW + 5)
        store(rig, first)
        store(rig, second)
        assert rig.reader.after(first[1].id, sources=[source_id], limit=3) == [
            first[2], *second[:2],
        ]  # fmt: skip
        assert rig.reader.after(second[-1].id, sources=[source_id], limit=3) == []

    def test_neighbours_are_of_the_same_source_and_destination(self, rig: Rig) -> None:
        source_id, other = new_source(), new_source()
        events = [
            placed(event, event.source_id, NOW + n)
            for n, event in enumerate(
                events_of(source_id, 1, destination="a")
                + events_of(other, 1, destination="a")
                + events_of(source_id, 1, destination="b")
                + events_of(source_id, 1, destination="a")
                + events_of(other, 1, destination="a")
                + events_of(source_id, 1, destination="a")
            )
        ]
        store(rig, events)
        first, middle, last = events[0], events[3], events[5]
        assert rig.reader.neighbours(middle) == (first.id, last.id)
        assert rig.reader.neighbours(first) == (None, middle.id)
        assert rig.reader.neighbours(last) == (middle.id, None)

    # Writing again

    def test_the_same_batch_is_stored_once(self, rig: Rig) -> None:
        source_id = new_source()
        writer = rig.writer()
        events = events_of(source_id, 10)
        writer.write(Batch(source_id, events))
        batch = Batch(
            source_id,
            events_of(source_id, 10),
            redelivered=[events[0].id],
            gaps=[Gap("lost", NOW, NOW + 1)],
        )
        assert writer.write(batch) == Written(10, 1)
        assert writer.write(batch) == Written(10, 1)
        assert rig.writer().write(batch) == Written(10, 1)
        stored = kept(rig, source_id)
        assert len(stored) == 20
        assert stored[0].redeliveries == 1
        assert len(rig.reader.gaps(ALL, sources=[source_id])) == 1
        assert sum(row.events for row in rig.reader.counts(ALL, sources=[source_id])) == 20

    def test_a_batch_without_events_counts_once(self, rig: Rig) -> None:
        source_id = new_source()
        batch = Batch(source_id, [], gaps=[Gap("lost", NOW, NOW + 1, 5)])
        writer = rig.writer()
        for _ in range(3):
            assert writer.write(batch) == Written(0, 0)
        assert len(rig.reader.gaps(ALL, sources=[source_id])) == 1

    def test_a_batch_is_known_after_another_was_written(self, rig: Rig) -> None:
        source_id = new_source()
        writer = rig.writer()
        batch = Batch(source_id, events_of(source_id, 5))
        writer.write(batch)
        writer.write(Batch(source_id, events_of(source_id, 5)))
        assert writer.write(batch) == Written(5, 0)
        assert len(kept(rig, source_id)) == 10

    def test_a_second_delivery_raises_the_counter_of_the_first(self, rig: Rig) -> None:
        source_id = new_source()
        digests: list[bytes | None] = [bytes([n]) * 16 for n in range(4)]
        old = events_of(source_id, 4, at=now() - 3 * DAY)
        rig.writer().write(Batch(source_id, old, identities=digests))
        again = events_of(source_id, 5)
        batch = Batch(source_id, again, identities=[*digests[:2], b"n" * 16, None, b"n" * 16])
        writer = rig.writer()
        assert writer.write(batch) == Written(2, 3)
        assert writer.write(batch) == Written(2, 3)
        stored = kept(rig, source_id)
        assert [event.id for event in stored] == [event.id for event in [*old, *again[2:4]]]
        assert [event.redeliveries for event in stored] == [1, 1, 0, 0, 1, 0]

    def test_identities_are_of_one_source(self, rig: Rig) -> None:
        one, two = new_source(), new_source()
        for source_id in (one, two):
            batch = Batch(source_id, events_of(source_id, 1), identities=[b"same digest 1234"])
            assert rig.writer().write(batch) == Written(1, 0)

    def test_redelivered_events_are_counted(self, rig: Rig) -> None:
        source_id = new_source()
        events = events_of(source_id, 3)
        writer = rig.writer()
        writer.write(Batch(source_id, events))
        one, two = events[0].id, events[1].id
        assert writer.write(Batch(source_id, [], redelivered=[one, two, one])) == Written(0, 3)
        assert writer.write(Batch(source_id, [], redelivered=[one])) == Written(0, 1)
        assert [event.redeliveries for event in kept(rig, source_id)] == [3, 1, 0]
        assert found_by(rig, "is:redelivered", source_id) == [two, one]

    # What is kept beside the events

    def test_a_source_goes_on_where_it_stopped(self, rig: Rig) -> None:
        source_id = new_source()
        writer = rig.writer()
        empty = writer.resume(source_id)
        assert (empty.checkpoint, empty.unsettled, empty.last_seen) == ({}, [], None)
        entries = [(bytes([n]) * 16, bytes([n + 1]) * 16) for n in range(1_000)[:200]]
        events = events_of(source_id, 1, at=NOW)
        writer.write(Batch(source_id, events, checkpoint={"0": "17", "1": "4"}, unsettled=entries))
        writer.write(Batch(source_id, [], checkpoint={"0": "18"}))
        resume = rig.writer().resume(source_id)
        assert resume.checkpoint == {"0": "18", "1": "4"}
        assert resume.unsettled == entries
        assert resume.last_seen == NOW
        writer.write(Batch(source_id, [], unsettled=[]))
        assert writer.resume(source_id).unsettled == []

    def test_when_a_source_was_last_seen_only_moves_on(self, rig: Rig) -> None:
        source_id = new_source()
        writer = rig.writer()
        writer.touch(source_id, NOW)
        assert writer.resume(source_id).last_seen == NOW
        writer.touch(source_id, NOW - 5)
        assert writer.resume(source_id).last_seen == NOW
        writer.write(Batch(source_id, [], gaps=[Gap("lost", NOW, NOW + 9)]))
        assert writer.resume(source_id).last_seen == NOW + 9

    def test_gaps_that_touch_the_window_come_newest_first(self, rig: Rig) -> None:
        source_id = new_source()
        before, into, inside, after = (
            Gap("before", NOW - 20, NOW - 11),
            Gap("into", NOW - 15, NOW - 5, 17, "orders"),
            Gap("inside", NOW - 4, NOW - 3, missed=0),
            Gap("after", NOW, NOW + 5),
        )
        rig.writer().write(Batch(source_id, [], gaps=[before, into, inside, after]))
        rig.writer().write(Batch(new_source(), [], gaps=[inside]))
        found = rig.reader.gaps(Window(NOW - 10, NOW), sources=[source_id])
        assert [stored.gap for stored in found] == [inside, into]
        assert {stored.source_id for stored in found} == {source_id}

    def test_counts_are_by_minute_destination_and_type(self, rig: Rig) -> None:
        source_id = new_source()
        minute = NOW - NOW % 60_000
        store(
            rig,
            events_of(source_id, 3, at=minute, type="A", payload=b"12345")
            + events_of(source_id, 2, at=minute + 59_999, type="A", payload=b"123")
            + events_of(source_id, 4, at=minute + 60_000, type="B", destination="stock")
            + events_of(source_id, 1, at=minute + 60_000),
        )
        rows = rig.reader.counts(Window(minute, minute + 120_000), sources=[source_id])
        assert rows == [
            Count(minute, source_id, "orders", "A", 5, 21),
            Count(minute + 60_000, source_id, "orders", "", 1, 2),
            Count(minute + 60_000, source_id, "stock", "B", 4, 8),
        ]
        hour = minute - minute % 3_600_000
        rows = rig.reader.counts(
            Window(minute, minute + 120_000), sources=[source_id], step=3_600_000, by_source=True
        )
        assert rows == [Count(hour, source_id, "", "", 10, 31)]

    def test_types_without_end_do_not_make_counts_without_end(self, rig: Rig) -> None:
        source_id = new_source()
        events = [
            events_of(source_id, 1, at=NOW, type=f"T{n}", destination=f"d{n % 2}")[0]
            for n in range(3_000)
        ]
        store(rig, events)
        rows = rig.reader.counts(ALL, sources=[source_id])
        assert sum(row.events for row in rows) == 3_000
        assert len(rows) <= 1_001
        assert {row.destination for row in rows if row.type == "other"} == {"d0", "d1"}

    def test_the_extent_follows_what_is_stored_and_removed(self, rig: Rig) -> None:
        source_id = new_source()
        before, oldest_before = rig.reader.extent()
        oldest = (oldest_before or NOW) - 5 * DAY
        store(rig, events_of(source_id, 4, at=oldest))
        assert rig.reader.extent() == (before + 4, oldest)
        while rig.retention.forget(source_id).more:
            continue
        assert rig.reader.extent() == (before, oldest_before)

    # Crashes

    def test_a_crash_leaves_whole_batches_once(self, rig: Rig) -> None:
        """The checkpoint in a batch says how many events there were with it."""
        source_id = new_source()
        stop = threading.Event()
        written: list[Event] = []

        def collect() -> None:
            writer = rig.writer()
            while not stop.is_set():
                events = events_of(source_id, 50, payload=b"x" * 1_000)
                seen = len(written) + len(events)
                write(writer, Batch(source_id, events, checkpoint={"seen": str(seen)}))
                written.extend(events)
            writer.close()

        with ThreadPoolExecutor(1) as threads:
            collecting = threads.submit(collect)
            for _ in range(5):
                wait_until(more_than(written, 100, collecting), seconds=DEADLINE, what="batches")
                rig.kill()
            stop.set()
            collecting.result(DEADLINE)
        assert sorted(event.id for event in kept(rig, source_id)) == sorted(e.id for e in written)
        assert rig.writer().resume(source_id).checkpoint == {"seen": str(len(written))}
        counted = rig.reader.counts(ALL, sources=[source_id])
        assert sum(row.events for row in counted) == len(written)

    def test_a_store_that_is_away_says_so_and_comes_back(self, rig: Rig) -> None:
        source_id = new_source()
        writer = rig.writer()
        batch = Batch(source_id, events_of(source_id, 3))
        with rig.away():
            for attempt in (
                lambda: writer.write(batch),
                lambda: writer.touch(source_id, NOW),
                lambda: writer.resume(source_id),
                lambda: rig.retention.prune(source_id, older_than=0, max_bytes=1),
            ):
                with pytest.raises(StoreUnavailable):
                    attempt()
        assert write(writer, batch) == Written(3, 0)
        assert len(kept(rig, source_id)) == 3

    # Several at once

    def test_collectors_write_beside_each_other(self, rig: Rig) -> None:
        sources = [new_source() for _ in range(4)]

        def collect(source_id: int) -> None:
            writer = rig.writer()
            for _ in range(10):
                write(writer, Batch(source_id, events_of(source_id, 100)))
            writer.close()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(collect, sources))
        assert Counter(event.source_id for event in kept(rig, *sources)) == dict.fromkeys(
            sources, 1_000
        )

    def test_two_writers_of_one_source_lose_nothing(self, rig: Rig) -> None:
        source_id = new_source()

        def collect(part: int) -> None:
            writer = rig.writer()
            for n in range(10):
                batch = Batch(source_id, events_of(source_id, 20), checkpoint={str(part): str(n)})
                write(writer, batch)
            writer.close()

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(collect, range(2)))
        assert len(kept(rig, source_id)) == 400
        assert rig.writer().resume(source_id).checkpoint == {"0": "9", "1": "9"}

    # Retention

    def test_what_is_too_old_goes(self, rig: Rig) -> None:
        source_id, other = new_source(), new_source()
        old = now() - 5 * DAY
        digests: list[bytes | None] = [bytes([n]) * 16 for n in range(100)]
        gone = events_of(source_id, 100, at=old)
        young = events_of(source_id, 10)
        writer = rig.writer()
        writer.write(Batch(source_id, gone, identities=digests, gaps=[Gap("old", old, old + 1)]))
        writer.write(Batch(source_id, young, gaps=[Gap("young", now(), now())]))
        writer.write(Batch(other, events_of(other, 5, at=old)))
        prune_all(rig, source_id, older_than=now() - 3 * DAY)
        assert kept(rig, source_id) == young
        assert [row.events for row in rig.reader.counts(ALL, sources=[source_id])] == [10]
        assert [g.gap.reason for g in rig.reader.gaps(ALL, sources=[source_id])] == ["young"]
        assert len(kept(rig, other)) == 5
        # A position that is forgotten with its event is a new one.
        again = Batch(source_id, events_of(source_id, 1), identities=digests[:1])
        assert writer.write(again) == Written(1, 0)

    @pytest.mark.parametrize("age", [0, 4 * DAY], ids=["today", "days ago"])
    def test_what_is_too_much_goes_oldest_first(self, rig: Rig, age: int) -> None:
        source_id = new_source()
        events = events_of(source_id, 1_200, at=now() - age, payload=b"x" * 1_000)
        store(rig, events)
        prune_all(rig, source_id, max_bytes=500_000)
        left = kept(rig, source_id)
        assert left == events[-len(left) :]
        assert 490 <= len(left) <= 500
        # What fits stays as it is.
        assert rig.retention.prune(source_id, older_than=0, max_bytes=500_000).events == 0

    def test_a_little_too_much_does_not_cost_a_whole_day(self, rig: Rig) -> None:
        source_id = new_source()
        old = events_of(source_id, 100, at=now() - 4 * DAY, payload=b"x" * 1_000)
        young = events_of(source_id, 20, payload=b"x" * 1_000)
        store(rig, old + young)
        prune_all(rig, source_id, max_bytes=110_000)
        assert kept(rig, source_id) == old[10:] + young

    def test_one_call_does_a_bounded_amount(self, rig: Rig) -> None:
        source_id = new_source()
        for _ in range(12):
            store(rig, events_of(source_id, 1_000))
        pruned = rig.retention.prune(source_id, older_than=0, max_bytes=0)
        assert 0 < pruned.events <= 5_000
        assert pruned.more
        assert len(kept(rig, source_id)) == 12_000 - pruned.events

    def test_retention_does_not_hold_up_a_writer(self, rig: Rig) -> None:
        full, busy = new_source(), new_source()
        for _ in range(10):
            store(rig, events_of(full, 1_000, payload=b"x" * 500))
        slowest = 0.0
        with ThreadPoolExecutor(1) as threads:
            pruning = threads.submit(prune_all, rig, full, max_bytes=0)
            writer = rig.writer()
            while not pruning.done():
                started = time.monotonic()
                write(writer, Batch(busy, events_of(busy, 10)))
                slowest = max(slowest, time.monotonic() - started)
            pruning.result()
        assert slowest < 2
        assert kept(rig, full) == []

    def test_a_forgotten_source_leaves_nothing(self, rig: Rig) -> None:
        gone, stays = new_source(), new_source()
        for source_id in (gone, stays):
            batch = Batch(
                source_id,
                events_of(source_id, 700, at=now() - DAY) + events_of(source_id, 700),
                identities=[bytes(12) + n.to_bytes(4, "big") for n in range(1_400)],
                gaps=[Gap("lost", NOW, NOW)],
                checkpoint={"0": "1"},
                unsettled=[(b"d" * 16, b"e" * 16)],
            )
            rig.writer().write(batch)
        assert {gone, stays} <= rig.retention.sources()
        deadline = time.monotonic() + DEADLINE
        while rig.retention.forget(gone).more:
            assert time.monotonic() < deadline
        assert rig.retention.sources() & {gone, stays} == {stays}
        assert kept(rig, gone, stays) == kept(rig, stays)
        assert len(kept(rig, stays)) == 1_400
        assert rig.reader.gaps(ALL, sources=[gone]) == []
        assert rig.reader.counts(ALL, sources=[gone]) == []
        resume = rig.writer().resume(gone)
        assert (resume.checkpoint, resume.unsettled, resume.last_seen) == ({}, [], None)
        # It is as if it had never been: it can be written again.
        events = events_of(gone, 1)
        assert rig.writer().write(Batch(gone, events, identities=[bytes(16)])) == Written(1, 0)
        assert kept(rig, gone) == events

    # Search

    @pytest.fixture(scope="class")
    @classmethod
    def library(cls, rig: Rig) -> Library:
        """The events of all cases of the query table, in sources named as there."""
        base = 5_000
        events = [
            placed(event, base + event.source_id, event.time)
            for case in CASES
            for event, _ in build(case)
        ]
        store(rig, events)
        sources = {base + number: name for number, name in SOURCES.items()}
        return Library([event for event in events if event.source_id in sources], sources)

    @pytest.mark.parametrize(
        "case", CASES, ids=lambda case: case.query[:60].encode("unicode_escape")
    )
    def test_search_finds_what_the_predicate_finds(
        self, rig: Rig, library: Library, case: Case
    ) -> None:
        events, sources = library
        tree = parse(case.query)
        judge = predicate(tree, sources=sources, now=NOW)
        wanted = sorted((event.id for event in events if judge(event)), reverse=True)
        found = pages(rig, tree, sources, limit=50, seconds=DEADLINE, now=NOW)
        assert [event.id for page in found for event in page.events] == wanted

    @_thorough
    @given(data=st.data())
    def test_search_agrees_with_the_predicate_on_any_condition(
        self, rig: Rig, library: Library, data: st.DataObject
    ) -> None:
        events, sources = library
        few = st.integers(2, 3)
        tree = data.draw(
            st.recursive(
                st.sampled_from([parse(case.query) for case in CASES if len(case.query) < 1_000]),
                lambda inner: st.one_of(
                    few.flatmap(lambda n: st.tuples(*[inner] * n)).map(And),
                    few.flatmap(lambda n: st.tuples(*[inner] * n)).map(Or),
                    inner.map(Not),
                ),
                max_leaves=5,
            )
        )
        judge = predicate(tree, sources=sources, now=NOW)
        wanted = sorted((event.id for event in events if judge(event)), reverse=True)
        found = pages(rig, tree, sources, limit=500, seconds=DEADLINE, now=NOW)
        assert [event.id for page in found for event in page.events] == wanted

    def test_what_a_person_writes_is_never_sql(self, rig: Rig) -> None:
        source_id = new_source()
        hostile = ["'; DROP TABLE events; --", "a' OR '1'='1", "%s", "?", "\\", "%", "_", '"x"']
        events = [
            events_of(source_id, 1, at=NOW + n, type=text, key=text, destination=text)[0]
            for n, text in enumerate(hostile)
        ]
        store(rig, events)
        for text, event in zip(hostile, events, strict=True):
            for field in ("type", "key", "destination"):
                page = rig.reader.search(Match((field,), text), ALL, sources={source_id: "shop"})
                assert [found.id for found in page.events] == [event.id], (field, text)
        for text in ("a\0b", "\ud800"):
            page = rig.reader.search(Match(("type",), text), ALL, sources={source_id: "shop"})
            assert page.events == []
        assert len(kept(rig, source_id)) == len(hostile)

    def test_a_search_without_time_goes_on_where_it_stopped(self, rig: Rig) -> None:
        """Honest: whatever matches and is newer than it says to have searched was given."""
        source_id = new_source()
        moment = now()
        events = [
            event
            for n in range(40)
            for event in events_of(
                source_id, 8, at=moment + n, type="rare" if n % 10 == 0 else "common",
                payload=b'{"n": %d}' % n,
            )
        ]  # fmt: skip
        store(rig, events)
        for text in ("payload.n:30", "NOT payload.n:<39", "type:rare", "nothing"):
            tree = parse(text)
            judge = predicate(tree, sources={source_id: "shop"}, now=moment)
            wanted = sorted((event for event in events if judge(event)), reverse=True, key=_by_id)
            given: list[Event] = []
            found = pages(rig, tree, {source_id: "shop"}, seconds=0.0)
            for page in found:
                given += page.events
                newer = [event for event in wanted if event.time > page.searched_back_to]
                assert given[: len(newer)] == newer, text
            assert given == wanted, text
            back = [page.searched_back_to for page in found]
            assert back == sorted(back, reverse=True)
            assert back[-1] == ALL.start

    def test_only_the_newest_to_resume_may_write(self, rig: Rig) -> None:
        """A collector that was taken for dead, and is not, must not write beside its successor."""
        source_id = new_source()
        writer = rig.writer()
        older = writer.resume(source_id)
        first, second, third = (events_of(source_id, 1) for _ in range(3))
        before = Batch(source_id=source_id, events=first, epoch=older.epoch)
        assert writer.write(before) == Written(1, 0)
        newer = writer.resume(source_id)
        assert newer.epoch > older.epoch
        with pytest.raises(Superseded):
            writer.write(Batch(source_id=source_id, events=second, epoch=older.epoch))
        with pytest.raises(Superseded):
            writer.touch(source_id, now(), older.epoch)
        assert writer.write(before) == Written(1, 0), "what is committed stays committed"
        writer.touch(source_id, now(), newer.epoch)
        writer.write(Batch(source_id=source_id, events=third, epoch=newer.epoch))
        assert sorted(event.id for event in kept(rig, source_id)) == sorted(
            [first[0].id, third[0].id]
        )

    def test_each_share_of_a_source_has_a_writer_of_its_own(self, rig: Rig) -> None:
        source_id = new_source()
        writer = rig.writer()
        first, second = (writer.resume(source_id, share, 2) for share in range(2))
        assert second.epoch > first.epoch
        events = [events_of(source_id, 2, at=NOW), events_of(source_id, 3, at=NOW + 7)]
        for share, resumed in enumerate((first, second)):
            batch = Batch(
                source_id,
                events[share],
                checkpoint={f"t/{share}": "5"},
                epoch=resumed.epoch,
                share=share,
            )
            assert writer.write(batch) == Written(share + 2, 0)
            assert writer.write(batch) == Written(share + 2, 0)
        writer.touch(source_id, NOW + 9, second.epoch, 1)
        again = writer.resume(source_id, 1, 2)
        assert again.checkpoint == {"t/0": "5", "t/1": "5"}
        assert again.last_seen == NOW + 9
        with pytest.raises(Superseded):
            writer.touch(source_id, NOW + 9, second.epoch, 1)
        writer.touch(source_id, NOW + 10, first.epoch, 0)
        assert writer.resume(source_id, 0, 2).last_seen == NOW + 10

    @pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2), (2, 3)])
    def test_a_source_that_is_divided_otherwise_refuses_all_who_wrote_before(
        self, rig: Rig, before: int, after: int
    ) -> None:
        """Whichever of the new shares comes first: what an old one reads may be its own now."""
        source_id = new_source()
        writer = rig.writer()
        old = [writer.resume(source_id, share, before).epoch for share in range(before)]
        for share, epoch in enumerate(old):
            part = {f"t/{share}": str(share)}
            written = Batch(source_id, [], checkpoint=part, epoch=epoch, share=share)
            writer.write(written)
            writer.touch(source_id, NOW + share, epoch, share)
        last = after - 1
        first = writer.resume(source_id, last, after)
        assert first.checkpoint == {f"t/{share}": str(share) for share in range(before)}
        assert first.last_seen == NOW, "all before that was seen, whichever share had it"
        for share, epoch in enumerate(old):
            with pytest.raises(Superseded):
                writer.write(Batch(source_id, events_of(source_id, 1), epoch=epoch, share=share))
            with pytest.raises(Superseded):
                writer.touch(source_id, now(), epoch, share)
        others = [writer.resume(source_id, share, after) for share in range(last)]
        assert [each.last_seen for each in others] == [NOW] * last
        for share, resumed in enumerate([*others, first]):
            own = Batch(source_id, events_of(source_id, 1), epoch=resumed.epoch, share=share)
            assert writer.write(own) == Written(1, 0)
        assert len(kept(rig, source_id)) == after

    def test_a_share_that_comes_back_is_not_the_one_that_was(self, rig: Rig) -> None:
        source_id = new_source()
        writer = rig.writer()
        old = writer.resume(source_id, 1, 2)
        writer.resume(source_id, 0, 1)
        new = writer.resume(source_id, 1, 2)
        with pytest.raises(Superseded):
            writer.touch(source_id, now(), old.epoch, 1)
        writer.touch(source_id, now(), new.epoch, 1)

    def test_shares_write_beside_each_other(self, rig: Rig) -> None:
        source_id = new_source()
        resumed = [rig.writer().resume(source_id, share, 3) for share in range(3)]

        def collect(share: int) -> None:
            writer = rig.writer()
            for n in range(10):
                batch = Batch(
                    source_id,
                    events_of(source_id, 20),
                    checkpoint={str(share): str(n)},
                    epoch=resumed[share].epoch,
                    share=share,
                )
                write(writer, batch)
            writer.close()

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(collect, range(3)))
        assert len(kept(rig, source_id)) == 600
        assert sum(row.events for row in rig.reader.counts(ALL, sources=[source_id])) == 600
        assert rig.writer().resume(source_id, 0, 3).checkpoint == dict.fromkeys("012", "9")

    def test_a_search_stops_at_its_deadline(self, rig: Rig) -> None:
        """After the slice in which it passes, so that each call comes farther back."""
        source_id = new_source()
        count = 3_000
        for _ in range(3):
            store(rig, events_of(source_id, count // 3, payload=b'{"a": "word"}'))
        tree, sources = parse("nothere"), {source_id: "shop"}
        late = rig.reader.search(tree, ALL, sources=sources, seconds=0.0)
        assert late.cursor is not None
        assert 0 < late.scanned < count
        whole = rig.reader.search(tree, ALL, sources=sources, seconds=DEADLINE)
        assert whole.cursor is None
        assert whole.scanned == count

    def test_a_page_of_long_payloads_ends_early(self, rig: Rig) -> None:
        source_id = new_source()
        events = [
            events_of(source_id, 1, at=NOW + n, payload=b"x" * 5_000_000)[0] for n in range(9)
        ]
        for event in events:
            store(rig, [event])
        found = pages(rig, Everything(), {source_id: "shop"}, seconds=DEADLINE)
        assert [len(page.events) for page in found] == [7, 2]

    def test_flags_are_found(self, rig: Rig) -> None:
        source_id = new_source()
        plain, binary, cut = (
            events_of(source_id, 1, at=NOW + n, flags=int(flags))[0]
            for n, flags in enumerate((0, Flag.BINARY, Flag.BINARY | Flag.TRUNCATED))
        )
        store(rig, [plain, binary, cut])
        assert found_by(rig, "is:binary", source_id) == [cut.id, binary.id]
        assert found_by(rig, "NOT is:truncated", source_id) == [binary.id, plain.id]


def more_than(written: list[Event], count: int, ended: Future[None]) -> Callable[[], bool]:
    """Whether so many more are written than now, or none will be."""
    mark = len(written) + count
    return lambda: len(written) >= mark or ended.done()


def prune_all(rig: Rig, source_id: int, older_than: int = 0, max_bytes: int = 2**62) -> None:
    deadline = time.monotonic() + DEADLINE
    while rig.retention.prune(source_id, older_than=older_than, max_bytes=max_bytes).more:
        assert time.monotonic() < deadline


def _by_id(event: Event) -> bytes:
    return event.id
