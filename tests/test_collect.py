"""Collecting end to end: nothing is lost and nothing counted twice, whatever is killed.

At full size, by hand: `NUMBERS=100000 KILLS=10 bin/test tests/test_collect.py -k killed -s`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest
import redis

from tests.installation import Installation
from tests.servers.process import Process, wait_until

NUMBERS = int(os.environ.get("NUMBERS", "6000"))
TWIN_EVERY = 100
KILLS = int(os.environ.get("KILLS", "4"))


@pytest.fixture(params=["sqlite", "postgres"])
def installation(request: pytest.FixtureRequest, tmp_path: Path, redis_server: Any) -> Installation:
    if request.param == "sqlite":
        return Installation(tmp_path, redis_server.url)
    postgres = request.getfixturevalue("postgres")
    return Installation(tmp_path, redis_server.url, postgres.new_database("collect"))


@pytest.fixture
def collecting(installation: Installation) -> Iterator[Process]:
    process = installation.collect()
    yield process
    process.stop()


def collectors(supervisor: Process) -> list[psutil.Process]:
    """The processes of sources: children of the fork server, which is the supervisor's child."""
    family = psutil.Process(supervisor.pid).children(recursive=True)
    return [process for process in family if process.ppid() != supervisor.pid]


def until(holds: Callable[[], object], what: str, supervisor: Process, seconds: float = 60) -> None:
    try:
        wait_until(holds, seconds=seconds, what=what)
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{supervisor.tail(60)}") from None


class Numbers:
    """Numbered messages into a fanout exchange; each hundredth is sent twice, byte for byte."""

    def __init__(self, url: str, exchange: str) -> None:
        self.url = url
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self._connection.channel()
        self.exchange = exchange
        self.channel.exchange_declare(exchange, "fanout")
        self.sent: Counter[bytes] = Counter()

    def send(self, first: int, count: int) -> None:
        persistent = pika.BasicProperties(delivery_mode=2)
        for number in range(first, first + count):
            payload = b"%d" % number
            for _ in range(2 if number % TWIN_EVERY == 0 else 1):
                self.channel.basic_publish(self.exchange, "", payload, persistent)
                self.sent[payload] += 1

    def close(self) -> None:
        self.channel.exchange_delete(self.exchange)
        self._connection.close()


@pytest.fixture
def numbers(rabbitmq: Any) -> Iterator[Numbers]:
    made = Numbers(rabbitmq.url, "numbers")
    yield made
    made.close()


def tap_of(installation: Installation, rabbitmq: Any, exchange: str) -> int:
    return installation.add_source(
        "numbers",
        "rabbitmq",
        host="127.0.0.1",
        port=rabbitmq.port,
        user="guest",
        password="guest",
        management_url=rabbitmq.management_url,
        exchanges=[exchange],
    )


def exists(numbers: Numbers, queue: str) -> bool:
    """Asked of the broker itself: figures of its management API are seconds old."""
    connection = pika.BlockingConnection(pika.URLParameters(numbers.url))
    try:
        connection.channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    finally:
        connection.close()
    return True


def assert_each_is_stored_once(installation: Installation, sent: Counter[bytes]) -> None:
    stored = Counter(
        bytes(payload) for (payload,) in installation.rows("SELECT payload FROM events")
    )
    assert stored == sent
    again = installation.rows("SELECT sum(redeliveries), max(redeliveries) FROM events")
    print(f"{sent.total()} stored once each; redeliveries (sum, most): {again[0]}")


@pytest.mark.xdist_group("rabbitmq")
def test_each_message_is_stored_once_however_often_the_collector_is_killed(
    installation: Installation, collecting: Process, rabbitmq: Any, numbers: Numbers
) -> None:
    source = tap_of(installation, rabbitmq, numbers.exchange)
    until(lambda: installation.state(source) == "up", "the tap", collecting)
    each = NUMBERS // (KILLS + 1)
    for kill in range(KILLS):
        numbers.send(kill * each, each)
        until(lambda: collectors(collecting), "a collector", collecting)
        victim = collectors(collecting)[0]
        victim.kill()
        victim.wait()
    numbers.send(KILLS * each, each)
    sent = numbers.sent.total()
    until(lambda: installation.events() >= sent, f"{sent} events", collecting, seconds=120)
    assert_each_is_stored_once(installation, numbers.sent)


@pytest.mark.xdist_group("rabbitmq")
def test_each_message_is_stored_once_though_the_store_is_killed_in_between(
    tmp_path: Path, redis_server: Any, postgres: Any, rabbitmq: Any, numbers: Numbers
) -> None:
    installation = Installation(tmp_path, redis_server.url, postgres.new_database("killed"))
    supervisor = installation.collect()
    try:
        source = tap_of(installation, rabbitmq, numbers.exchange)
        until(lambda: installation.state(source) == "up", "the tap", supervisor)
        half = NUMBERS // KILLS // 2
        for kill in range(KILLS):
            numbers.send(2 * kill * half, half)
            postgres.kill()
            numbers.send((2 * kill + 1) * half, half)
            postgres.start()
        sent = numbers.sent.total()
        until(lambda: installation.events() >= sent, f"{sent} events", supervisor, seconds=120)
        assert_each_is_stored_once(installation, numbers.sent)
    finally:
        supervisor.stop()


@pytest.mark.xdist_group("rabbitmq")
def test_a_collector_that_is_asked_to_stop_leaves_nothing_to_deliver_again(
    installation: Installation, rabbitmq: Any, numbers: Numbers
) -> None:
    supervisor = installation.collect()
    source = tap_of(installation, rabbitmq, numbers.exchange)
    until(lambda: installation.state(source) == "up", "the tap", supervisor)
    numbers.send(0, NUMBERS)
    until(lambda: installation.events() > 0, "some events", supervisor)
    supervisor.stop()
    stored = installation.events()
    numbers.send(NUMBERS, 500)
    supervisor = installation.collect()
    try:
        sent = numbers.sent.total()
        until(lambda: installation.events() >= sent, f"{sent} after {stored}", supervisor)
        assert_each_is_stored_once(installation, numbers.sent)
        assert installation.rows("SELECT sum(redeliveries) FROM events") == [(0,)]
    finally:
        supervisor.stop()


@pytest.mark.xdist_group("rabbitmq")
def test_a_source_that_is_deleted_takes_its_tap_from_the_broker(
    installation: Installation, collecting: Process, rabbitmq: Any, numbers: Numbers
) -> None:
    source = tap_of(installation, rabbitmq, numbers.exchange)
    until(lambda: installation.state(source) == "up", "the tap", collecting)
    ((own_name,),) = installation.rows("SELECT name FROM sources_installation")
    tap = f"eventhub.tap.{own_name}.numbers"
    assert exists(numbers, tap)
    installation.change(source, desired="deleted")
    until(
        lambda: not installation.rows(f"SELECT id FROM sources_source WHERE id = {source}"),
        "the source gone",
        collecting,
    )
    assert not exists(numbers, tap)


def test_a_source_is_followed_as_it_is_added_changed_and_stopped(
    installation: Installation, collecting: Process, redis_server: Any
) -> None:
    source = installation.add_source(
        "chat", "redis_pubsub", host="127.0.0.1", port=redis_server.port, patterns=["chat.*"]
    )
    until(lambda: installation.state(source) == "up", "up", collecting)
    with redis.Redis.from_url(redis_server.url) as client:
        client.publish("chat.kitchen", b"\xff\x00 not text")
        until(lambda: installation.events() == 1, "the event", collecting)
        (before,) = collectors(collecting)
        installation.change(source, config={
            "host": "127.0.0.1", "port": redis_server.port, "patterns": ["talk.*"],
        })  # fmt: skip
        until(lambda: not before.is_running(), "the old process gone", collecting, seconds=6)
        until(lambda: client.pubsub_numpat() == 1, "subscribed again", collecting)
        client.publish("chat.kitchen", "no longer observed")
        client.publish("talk.kitchen", "observed")
        until(lambda: installation.events() == 2, "the second event", collecting)
        installation.change(source, desired="stopped")
        until(lambda: not collectors(collecting), "no process", collecting, seconds=6)
        until(lambda: installation.state(source) == "stopped", "stopped", collecting)


def test_no_process_is_left_when_the_supervisor_is_killed(
    installation: Installation, redis_server: Any
) -> None:
    supervisor = installation.collect()
    source = installation.add_source(
        "chat", "redis_pubsub", host="127.0.0.1", port=redis_server.port, patterns=["chat.*"]
    )
    until(lambda: installation.state(source) == "up", "up", supervisor)
    family = psutil.Process(supervisor.pid).children(recursive=True)
    psutil.Process(supervisor.pid).kill()
    left = psutil.wait_procs(family, timeout=10)[1]
    supervisor.kill()
    assert not left


@pytest.mark.xdist_group("rabbitmq")
def test_depths_are_looked_at_beside_the_collecting(
    installation: Installation, collecting: Process, rabbitmq: Any, numbers: Numbers
) -> None:
    channel = numbers.channel
    channel.queue_declare("waiting-numbers")
    channel.queue_bind("waiting-numbers", numbers.exchange)
    tap_of(installation, rabbitmq, numbers.exchange)
    numbers.send(1, 6)

    def waiting() -> object:
        return installation.ask(
            "from eventhub.sources.models import DepthReading\n"
            "reading = DepthReading.objects.first()\n"
            "depths = reading.depths if reading else None\n"
            "answer = {d.destination: d.waiting for d in depths.samples} if depths else {}"
        ).get("waiting-numbers")

    try:
        until(lambda: waiting() == numbers.sent.total(), "the depth", collecting)
    finally:
        channel.queue_delete("waiting-numbers")
