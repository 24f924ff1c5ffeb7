"""The demo city: the same seed says the same, nothing is left half done, and what fails is kept."""

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

import pika
import pytest

from collectors.demo.bus import OpenBus
from collectors.demo.city import SCENARIOS, City
from collectors.demo.messages import Message
from collectors.demo.rabbitmq_bus import RabbitMQBus
from collectors.demo.redis_bus import RedisBus
from collectors.demo.scenario import Failed, Producer, Scenario
from collectors.demo.sensors import FRAME, SENSORS, THRESHOLDS
from collectors.demo.shop import SHOP
from tests.brokers.redis_pubsub import server as servers
from tests.contracts.broker import until

PRODUCERS = [producer for scenario in SCENARIOS for producer in scenario.producers]
ENDS = {"ShipmentCreated", "PaymentFailed", "MessageDeadLettered"}


def said(producer: Producer, seed: int, count: int) -> list[Message]:
    return list(itertools.islice(producer.messages(Random(f"{seed}:{producer.name}")), count))


def timeless(message: Message) -> tuple[str, object]:
    """The channel and what is said, without the time at which it was said."""
    if message.content_type == "application/json":
        return message.channel, {**message.fields, "time": None}
    if message.content_type == "text/plain":
        return message.channel, message.payload.partition(b" ")[2]
    return message.channel, message.payload


def answers(scenario: Scenario, message: Message) -> list[object]:
    """All that services make of a message, and of their answers to it."""
    found: list[object] = []
    for service in scenario.services:
        if message.channel in service.listens_to:
            try:
                replies = service.handle(message, Random(f"{service.name}:{message.id}"))
            except Failed as failure:
                found.append(str(failure))
                continue
            for reply in replies:
                found += [timeless(reply), *answers(scenario, reply)]
    return found


@pytest.mark.parametrize("producer", PRODUCERS, ids=lambda producer: producer.name)
class TestProducers:
    def test_the_same_seed_says_the_same(self, producer: Producer) -> None:
        first = [timeless(message) for message in said(producer, 7, 300)]
        assert [timeless(message) for message in said(producer, 7, 300)] == first
        assert [timeless(message) for message in said(producer, 8, 300)] != first

    def test_channels_begin_with_the_scenario(self, producer: Producer) -> None:
        [scenario] = [each for each in SCENARIOS if producer in each.producers]
        families = {message.channel.partition(".")[0] for message in said(producer, 1, 300)}
        assert families <= set(scenario.families)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
class TestScenarios:
    def test_services_answer_the_same_to_the_same(self, scenario: Scenario) -> None:
        for producer in scenario.producers:
            first = [answers(scenario, message) for message in said(producer, 7, 300)]
            again = [answers(scenario, message) for message in said(producer, 7, 300)]
            assert again == first

    def test_each_has_something_that_fails_for_good(self, scenario: Scenario) -> None:
        said_of_all = (answers(scenario, m) for p in scenario.producers for m in said(p, 1, 2_000))
        failures = [each for found in said_of_all for each in found if isinstance(each, str)]
        assert 0 < len(failures) < 200

    def test_the_announced_rate_is_the_real_one(self, scenario: Scenario) -> None:
        """`events_each` counts a message and what it sets off, with its dead letters."""
        for producer in scenario.producers:
            events = [1 + len(answers(scenario, m)) for m in said(producer, 3, 3_000)]
            assert sum(events) / 3_000 == pytest.approx(producer.events_each, rel=0.04)


def test_the_shares_make_up_the_whole() -> None:
    assert sum(producer.share for producer in PRODUCERS) == pytest.approx(1)


def test_a_temperature_is_told_when_it_passes_its_threshold_and_not_again_above_it() -> None:
    told, expected = [], []
    last: dict[str, float] = {}
    for message in said(SENSORS.producers[0], 1, 5_000):
        reading = message.fields
        place, celsius = reading["place"], reading["celsius"]
        if last.get(place, 0) <= THRESHOLDS[place] < celsius:
            expected.append(reading["id"])
        last[place] = celsius
        if answers(SENSORS, message):
            told.append(reading["id"])
    assert told == expected
    assert len(told) > 10


def test_sensor_frames_are_binary() -> None:
    frames = said(SENSORS.producers[1], 1, 100)
    assert {len(frame.payload) for frame in frames} == {FRAME.size}
    assert any(not frame.payload.isascii() for frame in frames)


def _has_orders(watch: "Watch", count: int) -> bool:
    return len(watch.types("shop.")) > count


class Watch:
    """All that is published on a Redis, by its correlation id."""

    def __init__(self, server: servers.RedisServer) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._pubsub: Any = server.client().pubsub(ignore_subscribe_messages=True)
        self._pubsub.psubscribe("*")
        self._pubsub.get_message(timeout=10)

    def look(self) -> list[tuple[str, bytes]]:
        # Only what is there already: a busy city never leaves a pause to wait for.
        while (message := self._pubsub.get_message(timeout=0)) is not None:
            self.seen.append((message["channel"].decode(), message["data"]))
        return self.seen

    def types(self, family: str) -> dict[str, list[str]]:
        """correlation id -> types, in their order."""
        found: dict[str, list[str]] = defaultdict(list)
        for channel, payload in self.look():
            if channel.startswith(family):
                fields = json.loads(payload)
                found[fields["correlation_id"]].append(fields["type"])
        return found


@contextmanager
def city(buses: dict[str, OpenBus], *, rate: float, seed: int = 1) -> Iterator[None]:
    running = City(buses, threading.Event(), seed=seed, rate=rate)
    running.start()
    try:
        yield
    finally:
        running.stop()


def on_redis(server: servers.RedisServer) -> dict[str, OpenBus]:
    return {scenario.name: partial(RedisBus, server.url) for scenario in SCENARIOS}


@pytest.fixture
def server() -> Iterator[servers.RedisServer]:
    with servers.running() as started:
        yield started


def test_every_order_comes_to_an_end_under_one_correlation_id(
    server: servers.RedisServer,
) -> None:
    watch = Watch(server)

    def first_orders() -> list[list[str]]:
        return list(watch.types("shop.").values())[:40]

    with city(on_redis(server), rate=400):
        until(lambda: len(first_orders()) == 40, "forty orders are placed")
        until(lambda: all(ENDS & set(types) for types in first_orders()), "all come to an end")
    whole = ["OrderPlaced", "StockReserved", "PaymentCompleted", "ShipmentCreated"]
    chains = first_orders()
    assert whole in chains
    for types in chains:
        *way, end = types
        assert way == whole[: len(way)]
        assert end in ENDS


def test_what_fails_for_good_is_in_the_stream_byte_for_byte_and_told_of(
    server: servers.RedisServer,
) -> None:
    watch = Watch(server)
    with city(on_redis(server), rate=1_500), server.client() as client:
        streams = [f"{scenario.name}.dead-letters" for scenario in SCENARIOS]
        until(lambda: all(client.xlen(name) for name in streams), "each scenario has dead letters")
        letters = {name: client.xrange(name, count=1)[0][1] for name in streams}
        until(lambda: set(streams) <= {channel for channel, _ in watch.look()}, "they are told of")
    published = set(watch.look())
    for letter in letters.values():
        assert (letter[b"origin"].decode(), letter[b"payload"]) in published
        assert letter[b"attempts"] == b"3"
        assert letter[b"reason"].decode().partition(":")[0].isidentifier()


def test_two_runs_with_one_seed_are_the_same(server: servers.RedisServer) -> None:
    runs = []
    for _ in range(2):
        watch = Watch(server)
        with city(on_redis(server), rate=1_000, seed=5):
            until(partial(_has_orders, watch, 60), "sixty orders")
        orders = [json.loads(data) for channel, data in watch.look() if channel == "shop.orders"]
        runs.append([{**order, "time": None} for order in orders[:60]])
    assert runs[0] == runs[1]


def test_the_city_goes_on_when_redis_comes_back(server: servers.RedisServer) -> None:
    with city(on_redis(server), rate=200):
        first = Watch(server)
        until(lambda: first.types("shop."), "orders come")
        server.kill()
        server.start()
        second = Watch(server)
        until(
            lambda: any("ShipmentCreated" in types for types in second.types("shop.").values()),
            "parcels are sent again, so producers and services are all back",
        )


def test_over_rabbitmq_the_shop_has_exchanges_queues_and_dead_letters(
    server: servers.RedisServer, rabbitmq: Any
) -> None:
    buses = on_redis(server) | {SHOP.name: partial(RabbitMQBus, rabbitmq.url)}
    with city(buses, rate=400), queue_bound_to(rabbitmq.url, SHOP) as received:
        chains: dict[str, list[str]] = defaultdict(list)
        letters: list[Any] = []

        whole = ["OrderPlaced", "StockReserved", "PaymentCompleted", "ShipmentCreated"]

        def both_came() -> bool:
            for properties, _ in received():
                if properties.headers and "x-death" in properties.headers:
                    letters.append(properties.headers["x-death"][0])
                else:
                    chains[properties.correlation_id].append(properties.type)
            return whole in chains.values() and bool(letters)

        until(both_came, "a whole chain, and a dead letter")
    assert letters[0]["reason"] == "rejected"
    assert letters[0]["queue"] in {f"demo.shop.{service.name}" for service in SHOP.services}
    assert rabbitmq.api("GET", "/queues/%2F/demo.shop.dead-letters")["durable"]


@contextmanager
def queue_bound_to(url: str, scenario: Scenario) -> Iterator[Callable[[], list[Any]]]:
    """A function that returns what has come since, as (properties, payload)."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, f"demo.{scenario.name}", "#")
        channel.queue_bind(queue, f"demo.{scenario.name}.dead-letters")
        arrived: list[Any] = []
        channel.basic_consume(
            queue, lambda _c, _m, properties, body: arrived.append((properties, body)), True
        )

        def received() -> list[Any]:
            connection.process_data_events(time_limit=0.05)
            came = list(arrived)
            arrived.clear()
            return came

        yield received
