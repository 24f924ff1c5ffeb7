"""The store on PostgreSQL: the contract, and what is special about its partitions."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import dj_database_url
import psycopg
import pytest

from eventhub.events.event import Event
from eventhub.store.contract import Batch, EventWriter
from eventhub.store.relational.days import DAY, day_of
from eventhub.store.relational.postgres.database import PostgresDatabase
from eventhub.store.relational.postgres.partitions import branch, leaf
from eventhub.store.relational.postgres.retention import PostgresRetention
from eventhub.store.relational.postgres.writer import PostgresWriter
from eventhub.store.relational.reader import RelationalReader
from tests.contracts.event_store import (
    EventStoreContract,
    Rig,
    events_of,
    kept,
    more_than,
    new_source,
    now,
    prune_all,
    write,
)
from tests.servers import postgres as servers
from tests.servers.process import wait_until
from tests.stores import events_database


class PostgresRig(Rig):
    def __init__(self, alias: str, server: Any, url: str) -> None:
        self.alias = alias
        self.server = server
        self.url = url
        self.reader = RelationalReader(PostgresDatabase(alias))
        self.retention = PostgresRetention(alias)

    def writer(self) -> EventWriter:
        return PostgresWriter(self.alias)

    def kill(self) -> None:
        """The backends of this database, each in whatever it is doing."""
        with self.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    @contextmanager
    def away(self) -> Iterator[None]:
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)

    def ask(self, sql: str, *parameters: object) -> Any:
        with self.connect() as connection:
            row = connection.execute(sql, parameters).fetchone()
        return row and row[0]

    def exists(self, table: str) -> bool:
        return self.ask("SELECT to_regclass(%s) IS NOT NULL", table) is True


@contextmanager
def postgres_rig(server: Any, name: str, blocker: Any) -> Iterator[PostgresRig]:
    url = server.new_database(name)
    with blocker.unblock(), events_database(name, **dj_database_url.parse(url)):
        yield PostgresRig(name, server, url)


@pytest.fixture(scope="module")
def store(postgres: Any, django_db_blocker: Any) -> Iterator[PostgresRig]:
    with postgres_rig(postgres, "contract", django_db_blocker) as rig:
        yield rig


class TestPostgresStore(EventStoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def rig(cls, store: PostgresRig) -> PostgresRig:
        return store


@contextmanager
def reading(store: PostgresRig) -> Iterator[None]:
    """An open transaction that has read from all partitions, as a long report would."""
    with psycopg.connect(store.url) as connection:
        connection.execute("SELECT count(*) FROM events")
        yield


def today() -> int:
    return now() // DAY


def at_noon(days_ago: int) -> int:
    return (today() - days_ago) * DAY + DAY // 2


def test_events_are_in_the_partition_of_their_source_and_day(store: PostgresRig) -> None:
    source_id = new_source()
    store.writer().write(Batch(source_id, events_of(source_id, 3, at=at_noon(2))))
    assert store.ask(f"SELECT count(*) FROM {leaf(source_id, today() - 2)}") == 3


def test_tomorrow_is_made_today(store: PostgresRig) -> None:
    source_id = new_source()
    store.writer().write(Batch(source_id, events_of(source_id, 1)))
    assert store.exists(leaf(source_id, today() + 1))


def test_partitions_have_the_indexes_of_events(store: PostgresRig) -> None:
    source_id = new_source()
    store.writer().write(Batch(source_id, events_of(source_id, 1)))
    count = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass AND indisvalid"
    assert store.ask(count, leaf(source_id, today())) == store.ask(count, "events") == 6


def test_an_open_select_does_not_stop_the_writing_of_a_new_day(store: PostgresRig) -> None:
    source_id, new = new_source(), new_source()
    writer = store.writer()
    writer.write(Batch(source_id, events_of(source_id, 1)))
    with reading(store):
        started = time.monotonic()
        writer.write(Batch(source_id, events_of(source_id, 5, at=now() + 5 * DAY)))
        writer.write(Batch(new, events_of(new, 5)))
        assert time.monotonic() - started < 2
    assert len(kept(store, source_id, new)) == 11


def test_retention_behind_an_open_select_stops_nobody(store: PostgresRig) -> None:
    """It gives up for this time, and goes on at the next call."""
    source_id = new_source()
    writer = store.writer()
    writer.write(Batch(source_id, events_of(source_id, 5, at=at_noon(9))))
    young = events_of(source_id, 5)
    writer.write(Batch(source_id, young))
    old = leaf(source_id, today() - 9)
    with reading(store), ThreadPoolExecutor(1) as threads:
        pruning = threads.submit(
            store.retention.prune, source_id, older_than=now() - 2 * DAY, max_bytes=2**60
        )
        slowest = 0.0
        while not pruning.done():
            started = time.monotonic()
            more = events_of(source_id, 5)
            young += more
            write(writer, Batch(source_id, more))
            # A new day needs a partition meanwhile.
            slowest = max(slowest, time.monotonic() - started)
        assert pruning.result().events == 0
        assert slowest < 1.5
        assert store.exists(old)
    prune_all(store, source_id, older_than=now() - 2 * DAY)
    assert not store.exists(old)
    assert kept(store, source_id) == young


def test_a_day_that_is_dropped_does_not_stop_readers(store: PostgresRig) -> None:
    source_id = new_source()
    for days_ago in (5, 4, 3):
        batch = Batch(source_id, events_of(source_id, 50, at=at_noon(days_ago)))
        store.writer().write(batch)
    young = events_of(source_id, 5)
    store.writer().write(Batch(source_id, young))
    done = threading.Event()
    slowest = 0.0

    def read() -> float:
        slowest = 0.0
        while not done.is_set():
            started = time.monotonic()
            kept(store, source_id)
            slowest = max(slowest, time.monotonic() - started)
        return slowest

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        prune_all(store, source_id, older_than=now() - 2 * DAY)
        done.set()
        slowest = max(reader.result() for reader in readers)
    assert slowest < 2
    assert kept(store, source_id) == young
    assert not store.exists(leaf(source_id, today() - 4))


def test_a_day_that_is_only_in_part_too_old_stays(store: PostgresRig) -> None:
    source_id = new_source()
    events = events_of(source_id, 5, at=at_noon(3))
    store.writer().write(Batch(source_id, events))
    prune_all(store, source_id, older_than=at_noon(3) + 1)
    assert kept(store, source_id) == events


def test_days_beyond_the_size_are_dropped_whole(store: PostgresRig) -> None:
    source_id = new_source()
    for days_ago in (5, 4, 3):
        events = events_of(source_id, 10, at=at_noon(days_ago), payload=b"x" * 1_000)
        store.writer().write(Batch(source_id, events))
    pruned = store.retention.prune(source_id, older_than=0, max_bytes=15_000)
    assert (pruned.events, pruned.size, pruned.more) == (10, 10_000, True)
    assert not store.exists(leaf(source_id, today() - 5))
    prune_all(store, source_id, max_bytes=15_000)
    assert [day_of(event.id) - today() for event in kept(store, source_id)] == [-4] * 5 + [-3] * 10
    assert store.exists(leaf(source_id, today() - 4))


def test_a_day_without_events_is_dropped(store: PostgresRig) -> None:
    source_id = new_source()
    events = events_of(source_id, 10, at=at_noon(3), payload=b"x" * 1_000)
    store.writer().write(Batch(source_id, events + events_of(source_id, 1)))
    prune_all(store, source_id, max_bytes=2)
    assert len(kept(store, source_id)) == 1
    assert not store.exists(leaf(source_id, today() - 3))


def test_a_batch_that_waited_finds_its_dropped_day_again(store: PostgresRig) -> None:
    source_id = new_source()
    writer = store.writer()
    writer.write(Batch(source_id, events_of(source_id, 5, at=at_noon(4))))
    writer.write(Batch(source_id, events_of(source_id, 1)))
    prune_all(store, source_id, older_than=now() - 2 * DAY)
    late = events_of(source_id, 5, at=at_noon(4))
    assert writer.write(Batch(source_id, late)).stored == 5
    assert kept(store, source_id)[:5] == late


def test_a_removal_that_was_cut_short_is_finished(store: PostgresRig) -> None:
    source_id = new_source()
    writer = store.writer()
    for days_ago in (6, 5):
        writer.write(Batch(source_id, events_of(source_id, 5, at=at_noon(days_ago))))
    writer.write(Batch(source_id, events_of(source_id, 1)))
    with store.connect() as connection:
        connection.execute(
            f"ALTER TABLE {branch(source_id)} DETACH PARTITION {leaf(source_id, today() - 6)}"
            " CONCURRENTLY"
        )
    prune_all(store, source_id, older_than=now() - 2 * DAY)
    assert not store.exists(leaf(source_id, today() - 6))
    assert not store.exists(leaf(source_id, today() - 5))
    assert len(kept(store, source_id)) == 1


def test_two_that_prune_do_not_disturb_each_other(store: PostgresRig) -> None:
    source_id = new_source()
    for days_ago in (8, 7, 6, 5, 4):
        store.writer().write(Batch(source_id, events_of(source_id, 50, at=at_noon(days_ago))))
    young = events_of(source_id, 1)
    store.writer().write(Batch(source_id, young))
    with ThreadPoolExecutor(2) as threads:
        pruning = [
            threads.submit(prune_all, store, source_id, older_than=now() - 2 * DAY)
            for _ in range(2)
        ]
        for one in pruning:
            one.result()
    prune_all(store, source_id, older_than=now() - 2 * DAY)
    assert kept(store, source_id) == young


def test_a_collector_waits_for_the_batch_of_its_dead_predecessor(store: PostgresRig) -> None:
    """What a killed process has sent may be committed after the next one has started."""
    source_id = new_source()
    store.writer().write(Batch(source_id, events_of(source_id, 1), checkpoint={"0": "1"}))
    with psycopg.connect(store.url) as predecessor, ThreadPoolExecutor(1) as threads:
        predecessor.execute("SELECT pg_advisory_xact_lock(%s)", [0x4556 << 48 | source_id])
        resuming = threads.submit(lambda: store.writer().resume(source_id))
        predecessor.execute(
            "UPDATE checkpoints SET position = '2' WHERE source_id = %s", [source_id]
        )
        assert not resuming.done()
        predecessor.commit()
        assert resuming.result(20).checkpoint == {"0": "2"}


@pytest.mark.slow
def test_ten_kills_of_the_server_lose_and_double_nothing(
    postgres: Any, django_db_blocker: Any
) -> None:
    """`kill -9` of PostgreSQL in the middle of numbered events, with its disk in sync."""
    with (
        servers.running(fsync=True) as server,
        postgres_rig(server, "killed", django_db_blocker) as rig,
    ):
        source_id = new_source()
        written: list[Event] = []
        stop = threading.Event()

        def collect() -> None:
            writer = rig.writer()
            while not stop.is_set():
                events = events_of(source_id, 200, payload=b"x" * 500)
                write(writer, Batch(source_id, events, checkpoint={"n": str(len(written) + 200)}))
                written.extend(events)
            writer.close()

        with ThreadPoolExecutor(1) as threads:
            collecting = threads.submit(collect)
            for _ in range(10):
                wait_until(more_than(written, 400, collecting), seconds=30, what="batches")
                server.kill()
                server.start()
            stop.set()
            collecting.result(30)
        assert sorted(e.id for e in kept(rig, source_id)) == sorted(e.id for e in written)
        assert rig.writer().resume(source_id).checkpoint == {"n": str(len(written))}
