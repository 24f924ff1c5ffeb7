"""`manage.py demo` as a person and `bin/run` start it."""

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import pytest

from tests.brokers.redis_pubsub import server as servers
from tests.contracts.broker import until
from tests.installation import Installation

NAMES = ["demo-chat", "demo-payments", "demo-sensors", "demo-shop", "demo-ticks"]


STOPS_WITHIN = 10.0
"""Seconds."""


@pytest.fixture(scope="module")
def server() -> Iterator[servers.RedisServer]:
    with servers.running() as started:
        yield started


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, server: servers.RedisServer) -> Installation:
    return Installation(tmp_path_factory.mktemp("demo"), server.url)


@pytest.fixture
def installation(migrated: Installation) -> Installation:
    """Without any source."""
    write(migrated, "DELETE FROM sources_source")
    return migrated


def write(installation: Installation, statement: str) -> None:
    with closing(sqlite3.connect(installation.folder / "eventhub.sqlite3", timeout=20)) as database:
        database.execute(statement)
        database.commit()


class Row(NamedTuple):
    name: str
    kind: str
    environment: str
    desired: str
    revision: int
    config: dict[str, Any]


def rows(installation: Installation) -> list[Row]:
    with closing(sqlite3.connect(installation.folder / "eventhub.sqlite3", timeout=20)) as database:
        found = database.execute(
            "SELECT name, kind, environment, desired, revision, config FROM sources_source"
            " ORDER BY name"
        ).fetchall()
    return [Row._make([*values, json.loads(config)]) for *values, config in found]


@contextmanager
def demo(installation: Installation, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        installation.command("demo", *words),
        env=installation.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def subscribers(server: servers.RedisServer) -> int:
    with server.client() as client:
        return sum(count for _, count in client.pubsub_numsub("shop.orders", "ticks.harbour"))


def started(server: servers.RedisServer) -> None:
    until(lambda: subscribers(server) == 2, "the city is at work")


def stopped(process: subprocess.Popen[bytes]) -> int:
    """It takes less than one; the rest is for a machine that is busy with other tests."""
    began = time.monotonic()
    code = process.wait(20)
    assert time.monotonic() - began < STOPS_WITHIN
    return code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once(
    installation: Installation, server: servers.RedisServer, number: signal.Signals
) -> None:
    with demo(installation, "--rate", "200") as process:
        started(server)
        process.send_signal(number)
        assert stopped(process) == 0


def test_it_ends_with_its_parent(installation: Installation, server: servers.RedisServer) -> None:
    with demo(installation, "--exit-with-parent") as process:
        started(server)
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert stopped(process) == 0


def test_a_signal_ends_it_while_redis_is_away(installation: Installation) -> None:
    with demo(installation, "--redis", "redis://127.0.0.1:1/0") as process:
        output = process.stdout
        assert output is not None
        until(lambda: b"broker is away" in output.readline(), "it notices")
        process.send_signal(signal.SIGTERM)
        assert stopped(process) == 0


def all_made(installation: Installation) -> list[Row]:
    until(lambda: len(rows(installation)) == 5, "the sources are made")
    return rows(installation)


def test_the_sources_are_made(installation: Installation, server: servers.RedisServer) -> None:
    with demo(installation, "--create-sources"):
        made = all_made(installation)
    assert [row.name for row in made] == NAMES
    assert {row[1:4] for row in made} == {("redis_pubsub", "demo", "running")}
    assert {row.config["port"] for row in made} == {server.port}
    assert made[1].config["patterns"] == ["payments.*", "logs.*"]


def test_another_redis_is_brought_to_the_sources_and_a_stop_is_respected(
    installation: Installation, server: servers.RedisServer
) -> None:
    with demo(installation, "--create-sources"):
        all_made(installation)
    write(installation, "UPDATE sources_source SET desired = 'stopped' WHERE name = 'demo-chat'")
    elsewhere = f"redis://localhost:{server.port}/0"
    with demo(installation, "--create-sources", "--redis", elsewhere):
        until(lambda: all(row.revision == 2 for row in rows(installation)), "all are changed")
    changed = rows(installation)
    assert {row.config["host"] for row in changed} == {"localhost"}
    assert [row.name for row in changed if row.desired == "stopped"] == ["demo-chat"]


def test_once_its_sources_are_removed_it_ends(installation: Installation) -> None:
    with demo(installation, "--create-sources") as process:
        all_made(installation)
        told = installation.manage("demo", "--stop-and-delete")
        assert all(name in told for name in NAMES)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert b"have been removed" in process.stdout.read()
    assert {row.desired for row in rows(installation)} == {"deleted"}


def test_with_rabbitmq_the_shop_and_the_payments_have_sources_there(
    installation: Installation, rabbitmq: Any
) -> None:
    with demo(installation, "--create-sources", "--rabbitmq", rabbitmq.url):
        kinds = {row.name: row.kind for row in all_made(installation)}
    assert kinds["demo-shop-rabbitmq"] == kinds["demo-payments-rabbitmq"] == "rabbitmq"
    assert kinds["demo-chat"] == "redis_pubsub"


def test_a_rate_that_is_none_is_refused(installation: Installation) -> None:
    with demo(installation, "--rate", "0") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert b"more than 0" in output
