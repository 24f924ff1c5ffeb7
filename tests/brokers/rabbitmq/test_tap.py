"""The tap on a real broker: what it gets, what it drops, when it goes, and that gaps say so."""

import time
from collections.abc import Iterator
from typing import Any

import pika
import pytest

from collectors.rabbitmq import RabbitMQ
from eventhub.brokers.contract import Consumer, Delivery, Gap, Message
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.rabbitmq.server import RabbitMQServer
from tests.brokers.rabbitmq.test_contract import RabbitMQRig
from tests.contracts.broker import collect, observation, opened, publish, receive_batch, until


def tap(rig: RabbitMQRig) -> str:
    return f"eventhub.tap.{rig.installation}.contract"


@pytest.fixture
def rig(rabbitmq: RabbitMQServer) -> Iterator[RabbitMQRig]:
    made = RabbitMQRig(rabbitmq)
    yield made
    made.remove()


def now() -> int:
    return time.time_ns() // 1_000_000


def drain(consumer: Consumer, done: Any, seconds: float = 30) -> tuple[list[Delivery], list[Gap]]:
    """Receive and settle until `done(deliveries, gaps)`."""
    deliveries: list[Delivery] = []
    gaps: list[Gap] = []
    deadline = time.monotonic() + seconds
    while not done(deliveries, gaps):
        assert time.monotonic() < deadline, (len(deliveries), gaps)
        received = consumer.receive(1_000, 0.2)
        deliveries.extend(received.deliveries)
        gaps.extend(received.gaps)
        consumer.settle(received)
    return deliveries, gaps


def missed(gaps: list[Gap]) -> int:
    assert None not in [gap.missed for gap in gaps]
    return sum(gap.missed or 0 for gap in gaps)


def quiet(consumer: Consumer, seconds: float) -> list[Gap]:
    """Gaps told while nothing is published for some looks at the queue."""
    until_then = time.monotonic() + seconds
    return drain(consumer, lambda *_: time.monotonic() > until_then)[1]


# What it gets


@pytest.mark.parametrize("kind", ["topic", "fanout", "headers", "direct"])
def test_every_type_of_exchange_is_observed(rig: RabbitMQRig, kind: str) -> None:
    exchange = f"orders.{kind}"
    rig.server.api("PUT", f"/exchanges/%2F/{exchange}", {"type": kind})
    channel = pika.BlockingConnection(pika.URLParameters(rig.server.url)).channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, exchange, "paid", {"x-match": "any", "tenant": "acme"})
    rig.config = rig.config_with(exchanges=[exchange])
    with opened(rig) as consumer:
        properties = pika.BasicProperties(headers={"tenant": "acme"})
        channel.basic_publish(exchange, "paid", b"1", properties)
        [delivery] = collect(consumer, 1)
    assert (delivery.destination, delivery.key, delivery.payload) == (exchange, "paid", b"1")
    channel.connection.close()
    rig.server.api("DELETE", f"/exchanges/%2F/{exchange}")


def test_routing_keys_choose_among_the_messages_of_a_topic(rig: RabbitMQRig) -> None:
    rig.config = rig.config_with(routing_keys=["order.*", "refund.#"])
    with opened(rig) as consumer:
        for key in ("order.paid", "other", "refund.a.b", "order.a.b"):
            rig.adapter.publisher(rig.config).publish([Message(b"", key=key)], rig.target)
        got = collect(consumer, 2)
    assert [delivery.key for delivery in got] == ["order.paid", "refund.a.b"]


def test_a_key_that_is_bound_to_a_direct_exchange_later_is_observed_too(rig: RabbitMQRig) -> None:
    exchange = "orders.later"
    rig.server.api("PUT", f"/exchanges/%2F/{exchange}", {"type": "direct", "auto_delete": True})
    connection = pika.BlockingConnection(pika.URLParameters(rig.server.url))
    channel = connection.channel()
    rig.config = rig.config_with(exchanges=[exchange])
    with opened(rig) as consumer:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, exchange, "new")

        def arrived(deliveries: list[Delivery], _: object) -> bool:
            channel.basic_publish(exchange, "new", b"1")
            return bool(deliveries)

        drain(consumer, arrived)
    connection.close()


def test_bindings_that_are_no_longer_chosen_are_gone(rig: RabbitMQRig) -> None:
    with opened(rig):
        pass
    rig.config = rig.config_with(routing_keys=["only.this"])
    with opened(rig, last_seen=now()) as consumer:
        rig.flood([b"other key"])
        publisher = rig.adapter.publisher(rig.config)
        publisher.publish([Message(b"this", key="only.this")], rig.target)
        publisher.close()
        received = receive_batch(consumer, 1)
    assert [delivery.payload for delivery in received.deliveries] == [b"this"]


# What it drops


def test_an_overflow_while_away_is_a_gap_with_the_exact_count(rig: RabbitMQRig) -> None:
    rig.config = rig.config_with(tap_max_messages=100)
    with opened(rig):
        pass
    left = now() - 60_000
    rig.flood([b"%d" % n for n in range(350)])
    with opened(rig, last_seen=left) as consumer:
        # The API counts in steps, and so the number may come in parts.
        deliveries, gaps = drain(consumer, lambda d, g: len(d) >= 100 and missed(g) >= 250)
        gaps += quiet(consumer, 2.5)
    assert [int(delivery.payload) for delivery in deliveries] == list(range(250, 350))
    assert missed(gaps) == 250
    assert gaps[0].started == left
    assert "overflowed" in gaps[0].reason


def test_an_overflow_by_bytes_is_counted_too(rig: RabbitMQRig) -> None:
    rig.config = rig.config_with(tap_max_mib=1)
    with opened(rig):
        pass
    rig.flood([b"x" * 300_000] * 10)
    with opened(rig, last_seen=now() - 60_000) as consumer:
        deliveries, gaps = drain(consumer, lambda d, g: len(d) >= 3 and missed(g) >= 7)
    assert len(deliveries) == 3
    assert missed(gaps) == 7


def test_an_overflow_under_our_eyes_is_counted_exactly_in_the_end(rig: RabbitMQRig) -> None:
    rig.config = rig.config_with(tap_max_messages=200)
    with opened(rig) as consumer:
        rig.flood([b"%d" % n for n in range(12_000)])
        deliveries, gaps = drain(consumer, lambda d, g: len(d) + missed(g) >= 12_000)
        gaps += quiet(consumer, 2)
    assert missed(gaps) > 0
    assert len(deliveries) + missed(gaps) == 12_000
    assert all(gap.started <= gap.ended <= now() for gap in gaps)


def test_what_was_told_once_is_not_told_again(rig: RabbitMQRig) -> None:
    rig.config = rig.config_with(tap_max_messages=10)
    with opened(rig):
        pass
    rig.flood([b"%d" % n for n in range(30)])
    checkpoint: dict[str, str] = {}
    with opened(rig, last_seen=now() - 60_000) as consumer:
        told = 0
        while told < 20:
            received = consumer.receive(100, 0.2)
            told += missed(received.gaps)
            checkpoint.update(received.checkpoint)
            consumer.settle(received)
        checkpoint.update(consumer.receive(100, 0.2).checkpoint)
    with opened(rig, last_seen=now() - 60_000, checkpoint=checkpoint) as consumer:
        assert quiet(consumer, 2.5) == []


def test_a_busy_tap_that_is_not_full_tells_no_gap(rig: RabbitMQRig) -> None:
    sent = [b"%d" % n for n in range(5_000)]
    with opened(rig) as consumer:
        gaps = []
        for _ in range(2):
            rig.flood(sent)
            gaps += drain(consumer, lambda d, _: len(d) >= len(sent))[1]
        gaps += quiet(consumer, 1.5)
    with opened(rig, last_seen=now()) as consumer:
        rig.flood(sent)
        gaps += drain(consumer, lambda d, _: len(d) >= len(sent))[1]
        gaps += quiet(consumer, 1.5)
    assert gaps == []


def test_without_the_management_api_a_full_tap_is_a_gap_of_unknown_size(rig: RabbitMQRig) -> None:
    rig.config = rig.config_with(tap_max_messages=50, management_url="http://127.0.0.1:1")
    with opened(rig):
        pass
    rig.flood([b"x"] * 80)
    with opened(rig, last_seen=now() - 5_000) as consumer:
        _, gaps = drain(consumer, lambda d, g: len(d) >= 50 and g)
    assert [gap.missed for gap in gaps] == [None]


def test_what_a_tap_drops_is_not_sent_to_somebodys_dead_letters(rig: RabbitMQRig) -> None:
    """A policy of dead-lettering for all queues is common; the tap's own argument beats it."""
    connection = pika.BlockingConnection(pika.URLParameters(rig.server.url))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "amq.fanout")
    definition = {"dead-letter-exchange": "amq.fanout"}
    policy = {"pattern": ".*", "definition": definition, "apply-to": "queues"}
    rig.server.api("PUT", "/policies/%2F/all-dead", policy)
    try:
        rig.config = rig.config_with(tap_max_messages=10)
        with opened(rig):
            pass
        rig.flood([b"x"] * 100)
        control = channel.queue_declare("", exclusive=True, arguments={"x-max-length": 1})
        for _ in range(2):
            channel.basic_publish("", control.method.queue, b"control")
        until(
            lambda: channel.queue_declare(queue, passive=True).method.message_count,
            "the dead letter of an ordinary queue",
        )
        assert channel.queue_declare(queue, passive=True).method.message_count == 1
    finally:
        rig.server.api("DELETE", "/policies/%2F/all-dead")
        connection.close()


# When it goes


def test_a_tap_that_is_gone_when_we_come_back_is_a_gap(rig: RabbitMQRig) -> None:
    with opened(rig):
        pass
    rig.server.api("DELETE", f"/queues/%2F/{tap(rig)}")
    left = now()
    with opened(rig, last_seen=left) as consumer:
        _, [gap] = drain(consumer, lambda _, gaps: gaps)
    assert (gap.started, gap.missed) == (left, None)
    assert "expired" in gap.reason


def test_a_tap_is_told_to_expire_and_to_bound_itself(rig: RabbitMQRig) -> None:
    rig.config = rig.config_with(tap_expires_minutes=7, tap_max_mib=3, tap_max_messages=11)
    with opened(rig):
        queue = rig.server.api("GET", f"/queues/%2F/{tap(rig)}")
    assert queue["durable"]
    assert not queue["auto_delete"]
    arguments = queue["arguments"]
    assert arguments["x-expires"] == 7 * 60_000
    assert arguments["x-max-length"] == 11
    assert arguments["x-max-length-bytes"] == 3 * 1024**2
    assert arguments["x-overflow"] == "drop-head"


def test_removing_the_tap_under_a_consumer_ends_it(rig: RabbitMQRig) -> None:
    with opened(rig) as consumer:
        rig.server.api("DELETE", f"/queues/%2F/{tap(rig)}")
        with pytest.raises(NotConnected, match="removed"):
            until(lambda: consumer.receive(10, 0.2) is None, "the consumer notices")


def test_a_changed_limit_makes_the_tap_anew_and_tells_what_it_cost(rig: RabbitMQRig) -> None:
    with opened(rig):
        pass
    rig.flood([b"1", b"2"])
    rig.config = rig.config_with(tap_max_messages=500)
    with opened(rig, last_seen=now()) as consumer:
        _, [gap] = drain(consumer, lambda _, gaps: gaps)
    assert gap.missed == 2
    assert "anew" in gap.reason


def test_a_broker_restart_is_a_gap_only_where_messages_are_not_persistent(
    rig: RabbitMQRig,
) -> None:
    checkpoint: dict[str, str] = {}
    with opened(rig) as consumer:
        transient = Message(b"1", headers=[("amqp.delivery_mode", 1)])

        def counted() -> bool:
            # The API may never count what a connection of a moment published: go on publishing.
            publish(rig, transient)
            checkpoint.update(consumer.receive(10, 0.1).checkpoint)
            return int(checkpoint.get("published", 0)) > 0

        until(counted, "the API has counted")
    assert checkpoint["transient"] == "yes"
    left = now()
    with opened(rig, last_seen=left, checkpoint=checkpoint) as consumer:
        assert consumer.receive(10, 0.2).gaps == []
    rig.restart()
    with opened(rig, last_seen=left, checkpoint=checkpoint) as consumer:
        _, [gap] = drain(consumer, lambda _, gaps: gaps)
    assert "restarted" in gap.reason
    persistent = {**checkpoint, "transient": "no"}
    with opened(rig, last_seen=left, checkpoint=persistent) as consumer:
        assert consumer.receive(10, 0.2).gaps == []


# Who it is


def test_no_exchange_and_an_unknown_exchange_need_a_person(rig: RabbitMQRig) -> None:
    for exchanges, words in (([], "No exchange is chosen"), (["orders.none"], "orders.none")):
        consumer = RabbitMQ().consumer(rig.config_with(exchanges=exchanges), observation())
        with pytest.raises(PermanentFailure, match=words):
            consumer.open()
        consumer.close()


def test_only_one_connection_reads_a_tap(rig: RabbitMQRig) -> None:
    with opened(rig), pytest.raises(NotConnected, match="still reads the tap"), opened(rig):
        pass
    with opened(rig) as consumer:
        publish(rig, Message(b"after the first had left"))
        assert receive_batch(consumer, 1)
