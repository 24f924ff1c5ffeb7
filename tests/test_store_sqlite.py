"""The store on SQLite: the contract, and what is special about its one writing process."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from eventhub.query.tree import Everything
from eventhub.store.contract import Batch, EventWriter, StoreUnavailable, Window
from eventhub.store.relational.reader import RelationalReader
from eventhub.store.relational.sqlite import wire
from eventhub.store.relational.sqlite.client import SqliteRetentionClient, SqliteWriterClient
from eventhub.store.relational.sqlite.database import SqliteDatabase
from eventhub.store.relational.sqlite.writer import SqliteWriter
from tests.contracts.event_store import EventStoreContract, Rig, events_of, new_source, now, write
from tests.servers.process import Process, wait_until
from tests.stores import events_database

_ROOT = Path(__file__).resolve().parent.parent


def command(folder: Path) -> tuple[list[str], dict[str, str]]:
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    return (
        [sys.executable, str(_ROOT / "manage.py"), "write_events"],
        environment | {"EVENTHUB_DATA_DIR": str(folder)},
    )


def answers(alias: str) -> bool:
    try:
        SqliteRetentionClient(alias).sources()
    except StoreUnavailable:
        return False
    return True


class SqliteRig(Rig):
    def __init__(self, alias: str, folder: Path) -> None:
        self.alias = alias
        self.folder = folder
        self.reader = RelationalReader(SqliteDatabase(alias))
        self.retention = SqliteRetentionClient(alias)
        words, environment = command(folder)
        self.process = Process(
            words,
            log=folder / "log",
            ready=lambda: answers(alias),
            env=environment,
            cwd=_ROOT,
        )

    def writer(self) -> EventWriter:
        return SqliteWriterClient(self.alias)

    def kill(self) -> None:
        self.process.kill()
        self.process.start()

    @contextmanager
    def away(self) -> Iterator[None]:
        self.process.stop()
        yield
        self.process.start()


@contextmanager
def sqlite_rig(folder: Path, blocker: Any) -> Iterator[SqliteRig]:
    alias = f"sqlite-{folder.name}"
    file = {**settings.DATABASES["default"], "NAME": folder / "events.sqlite3"}
    assert file["ENGINE"].endswith("sqlite3")
    with blocker.unblock(), events_database(alias, **file):
        rig = SqliteRig(alias, folder)
        rig.process.start()
        try:
            yield rig
        finally:
            rig.process.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[SqliteRig]:
    with sqlite_rig(tmp_path_factory.mktemp("store"), django_db_blocker) as rig:
        yield rig


class TestSqliteStore(EventStoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def rig(cls, store: SqliteRig) -> SqliteRig:
        return store


def test_a_second_process_refuses_to_write(store: SqliteRig) -> None:
    words, environment = command(store.folder)
    second = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert second.stderr == (
        f"CommandError: Process {store.process.pid} already writes the events in {store.folder}.\n"
    )
    assert answers(store.alias)


def test_only_its_user_can_reach_the_process(store: SqliteRig) -> None:
    mode = wire.socket_path(store.alias).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_bytes_that_are_no_request_do_not_stop_it(store: SqliteRig) -> None:
    for sent in (b"\0" * 7, b"\0\0\0\0\0\0\0\x03abc", b"\0\0\0\0\0\0\0\x00"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(wire.socket_path(store.alias)))
            client.sendall(sent)
    assert answers(store.alias)


def test_a_batch_that_cannot_be_stored_does_not_stop_the_others(store: SqliteRig) -> None:
    writer = store.writer()
    good, bad = new_source(), new_source()
    with pytest.raises(RuntimeError, match="too large"):
        writer.write(Batch(bad, events_of(bad, 1, payload_size=2**63)))
    assert writer.write(Batch(good, events_of(good, 1))).stored == 1


def test_what_waits_is_committed_together(store: SqliteRig) -> None:
    """And a batch that fails takes nothing of the others with it."""
    one, two, three = (new_source() for _ in range(3))
    outcomes = SqliteWriter(store.alias).write_all(
        [
            Batch(one, events_of(one, 5)),
            Batch(two, events_of(two, 5, payload_size=2**63)),
            Batch(three, events_of(three, 5)),
        ]
    )
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Written", "OverflowError", "Written",
    ]  # fmt: skip
    found = store.reader.after(bytes(16), sources=[one, two, three], limit=100)
    assert {event.source_id for event in found} == {one, three}
    assert two not in store.retention.sources()


def test_the_log_stays_small_while_pages_are_read(store: SqliteRig) -> None:
    source_id = new_source()
    writer = store.writer()
    for _ in range(40):
        write(writer, Batch(source_id, events_of(source_id, 1_000, payload=b"x" * 1_000)))
        store.reader.search(
            Everything(), Window(0, now() + 1_000), sources={source_id: "shop"}, limit=10
        )
    log = store.folder / "events.sqlite3-wal"
    assert log.stat().st_size < 40 * 1024**2


def test_a_path_too_long_for_a_socket_is_no_obstacle(
    tmp_path: Path, django_db_blocker: Any
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with sqlite_rig(folder, django_db_blocker) as rig:
        source_id = new_source()
        assert rig.writer().write(Batch(source_id, events_of(source_id, 3))).stored == 3
        address = wire.socket_path(rig.alias)
        assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
    assert not address.exists()
    address.parent.rmdir()


@pytest.fixture
def started(tmp_path: Path, django_db_blocker: Any) -> Iterator[tuple[str, Any]]:
    """The process as the supervisor starts it, with a pipe for its standard input."""
    alias = f"sqlite-{tmp_path.name}"
    file = {**settings.DATABASES["default"], "NAME": tmp_path / "events.sqlite3"}
    with django_db_blocker.unblock(), events_database(alias, **file):
        words, environment = command(tmp_path)
        process = subprocess.Popen(
            [*words, "--exit-with-parent"], env=environment, stdin=subprocess.PIPE
        )
        try:
            wait_until(lambda: answers(alias), seconds=20, what="the process answers")
            yield alias, process
        finally:
            process.kill()
            process.wait()


def test_it_ends_with_its_parent_and_takes_the_last_batch(started: tuple[str, Any]) -> None:
    alias, process = started
    source_id = new_source()
    writer = SqliteWriterClient(alias)
    writer.touch(source_id, now())
    process.stdin.close()
    process.send_signal(signal.SIGINT)
    assert writer.write(Batch(source_id, events_of(source_id, 3))).stored == 3
    writer.close()
    assert process.wait(5) == 0
    assert not wire.socket_path(alias).exists()


def test_it_ends_though_a_client_stays(started: tuple[str, Any]) -> None:
    alias, process = started
    writer = SqliteWriterClient(alias)
    writer.touch(new_source(), now())
    process.stdin.close()
    assert process.wait(5) == 0
    with pytest.raises(StoreUnavailable):
        writer.touch(new_source(), now())


def test_it_ends_when_told_to(started: tuple[str, Any]) -> None:
    _, process = started
    process.terminate()
    assert process.wait(5) == 0
