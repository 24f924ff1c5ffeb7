"""The firehose of a real RabbitMQ: each message as it was published, and nothing missed unsaid."""

from collections.abc import Iterator
from typing import Any

import pika
import pytest

from collectors.rabbitmq import RabbitMQ
from eventhub.brokers.contract import Confirmed, Consumer, Delivery, Message, Received, Verdict
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.rabbitmq.server import RabbitMQServer
from tests.brokers.rabbitmq.test_contract import HEADER_VALUES, RabbitMQRig
from tests.brokers.rabbitmq.test_tap import drain, now
from tests.contracts.broker import (
    BadSetting,
    BrokerContract,
    Rig,
    collect,
    observation,
    opened,
    publish,
    publishing,
    receive_batch,
    until,
)


class FirehoseRig(RabbitMQRig):
    """An exchange with a queue that keeps one message, so that publishing is confirmed: to the
    firehose nothing is routed."""

    def __init__(self, server: RabbitMQServer) -> None:
        super().__init__(server)
        server.trace(on=True)
        sink = f"orders.sink.{self.installation}"
        limits = {"x-max-length": 1}
        server.api("PUT", f"/queues/%2F/{sink}", {"durable": True, "arguments": limits})
        server.api("POST", f"/bindings/%2F/e/{self.exchange}/q/{sink}", {"routing_key": "#"})
        self._queues.append(sink)
        ours = r"^(eventhub\.tap\.|orders\.|amq\.rabbitmq\.trace$)"
        server.add_user(
            "fireman",
            "fireman's secret",
            tags="management",
            configure=r"^eventhub\.tap\.",
            write=rf"{ours}|^amq\.default$",
            read=ours,
        )
        self.config = self.config_with(mode="firehose", user="fireman", password="fireman's secret")
        watcher = {"user": "watcher", "password": "watcher's secret"}
        self.bad_settings = {
            "not allowed": BadSetting(
                self.config_with(**watcher),
                "permissions",
                r"'^(eventhub\.tap\.|amq\.rabbitmq\.trace$)'",
            )
        }

    def restart(self) -> None:
        """A restart switches the firehose off; the operator has it on again."""
        super().restart()
        self.server.trace(on=True)

    def remove(self) -> None:
        self.server.trace(on=False)
        super().remove()


@pytest.fixture
def rig(rabbitmq: RabbitMQServer) -> Iterator[FirehoseRig]:
    made = FirehoseRig(rabbitmq)
    yield made
    made.remove()


class TestRabbitMQFirehose(BrokerContract):
    @pytest.fixture
    def rig(self, rig: FirehoseRig) -> Rig:
        return rig

    def test_after_a_broker_restart_a_new_consumer_gets_on(self, rig: Rig) -> None:
        """And the restart is a gap: no trace is persistent, and the firehose is off after it."""
        assert isinstance(rig, FirehoseRig)
        checkpoint: dict[str, str] = {}

        def counted() -> bool:
            rig.flood([b"1"])
            remember(consumer, checkpoint)
            return int(checkpoint.get("published", 0)) > 0

        with opened(rig) as consumer:
            until(counted, "the API has counted")
            left = now()
            rig.restart()
            with pytest.raises(NotConnected):
                until(lambda: not consumer.receive(10, 0.2), "the consumer notices the restart")
        with opened(rig, last_seen=left, checkpoint=checkpoint) as consumer:
            rig.flood([b"after"])
            deliveries, gaps = drain(consumer, lambda d, g: d and g)
        assert [each.payload for each in deliveries] == [b"after"]
        assert gaps[0].started == left
        assert "restarted" in gaps[0].reason


def facts(delivery: Delivery) -> dict[str, Any]:
    return {name: value for name, value in delivery.headers if name.startswith("firehose.")}


def own(delivery: Delivery) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in delivery.headers if not name.startswith("firehose.")]


# What it sees


def test_all_exchanges_are_seen_and_also_what_no_queue_gets(rig: FirehoseRig) -> None:
    rig.config = rig.config_with(exchanges=[])
    work = rig.fill(0)
    connection = pika.BlockingConnection(pika.URLParameters(rig.server.url))
    channel = connection.channel()
    with opened(rig) as consumer:
        channel.basic_publish("", work, b"by the default exchange")
        channel.basic_publish("amq.topic", "no.where", b"to nobody")
        rig.flood([b"to ours"])
        got = {
            (each.destination, each.key, each.payload): facts(each)["firehose.routed_queues"]
            for each in collect(consumer, 3)
        }
    connection.close()
    assert got == {
        ("", work, b"by the default exchange"): [work],
        ("amq.topic", "no.where", b"to nobody"): [],
        (rig.exchange, "a.b", b"to ours"): [f"orders.sink.{rig.installation}"],
    }


def test_a_message_is_built_anew_as_it_was(rig: FirehoseRig) -> None:
    message = Message(
        b"\xff\0{}",
        key="orders.eu",
        type="OrderPlaced",
        correlation_id="corr",
        message_id="id-1",
        content_type="application/json",
        content_encoding="gzip",
        headers=[
            *HEADER_VALUES.items(),
            ("twice", 1),
            ("twice", "two"),
            ("amqp.priority", 3),
            ("amqp.reply_to", "answers"),
            ("amqp.expiration", "60000"),
            ("amqp.app_id", "shop"),
            ("amqp.user_id", "fireman"),
            ("amqp.delivery_mode", 1),
            ("amqp.timestamp", now() // 1000),
        ],
    )
    with opened(rig) as consumer:
        publish(rig, message)
        [seen] = collect(consumer, 1)
        # Sent as it was seen, it is the same: the firehose's own facts are no part of it.
        again = Message(
            **{
                name: getattr(seen, name) for name in message.__struct_fields__ if name != "headers"
            },
            headers=seen.headers,
        )
        publish(rig, again)
        [second] = collect(consumer, 1)
    for name in set(message.__struct_fields__) - {"headers"}:
        assert getattr(seen, name) == getattr(message, name) == getattr(second, name), name
    assert (
        sorted(own(seen), key=repr)
        == sorted(message.headers, key=repr)
        == sorted(own(second), key=repr)
    )
    told = facts(seen)
    assert told.keys() == {
        f"firehose.{name}" for name in ("node", "connection", "channel", "user", "routed_queues")
    }
    assert told["firehose.user"] == "fireman"


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_timestamp_of_more_than_32_bits_is_whole_again(rig: FirehoseRig, unit: int) -> None:
    sent = now() * unit // 1000
    with opened(rig) as consumer:
        publish(rig, Message(b"", headers=[("amqp.timestamp", sent)]))
        [seen] = collect(consumer, 1)
    assert dict(seen.headers)["amqp.timestamp"] == sent
    assert seen.event_time == sent * 1000 // unit


def test_further_routing_keys_are_told(rig: FirehoseRig) -> None:
    with opened(rig) as consumer:
        publish(rig, Message(b"", key="first", headers=[("CC", ["second"])]))
        [seen] = collect(consumer, 1)
    assert seen.key == "first"
    assert own(seen) == [("CC", ["second"])]
    assert facts(seen)["firehose.routing_keys"] == ["first", "second"]


def test_only_the_chosen_exchanges_are_seen(rig: FirehoseRig) -> None:
    other = f"{rig.exchange}.more"
    rig.server.api("PUT", f"/exchanges/%2F/{other}", {"type": "fanout", "auto_delete": True})
    connection = pika.BlockingConnection(pika.URLParameters(rig.server.url))
    with opened(rig) as consumer:
        connection.channel().basic_publish(other, "", b"elsewhere")
        rig.flood([b"here"])
        assert [each.payload for each in collect(consumer, 1)] == [b"here"]
        assert consumer.receive(10, 0.3).deliveries == []
    connection.close()
    rig.server.api("DELETE", f"/exchanges/%2F/{other}")


def test_looking_makes_no_loop(rig: FirehoseRig) -> None:
    """Neither what the tracer makes, nor what EventHub receives of it, is traced again: of ten
    messages that EventHub itself publishes, ten are seen, beside a tap and a second firehose."""
    everything = rig.config_with(exchanges=[])
    beside = rig.config_with(mode="tap")
    second = observation(name="second", installation=rig.installation)
    others = [
        RabbitMQ().consumer(everything, second),
        RabbitMQ().consumer(beside, observation(name="tap", installation=rig.installation)),
    ]
    for other in others:
        other.open()
    rig.config = everything
    with opened(rig) as consumer, publishing(rig) as publisher:
        outcomes = publisher.publish([Message(b"%d" % n) for n in range(10)], rig.target)
        assert outcomes == [Confirmed()] * 10
        for each in (consumer, *others):
            assert [d.payload for d in collect(each, 10)] == [b"%d" % n for n in range(10)]
        for each in (consumer, *others):
            assert each.receive(10, 0.5).deliveries == []
    for other in others:
        other.close()


# What it misses


def test_an_overflow_is_a_gap_whose_size_nobody_counts(rig: FirehoseRig) -> None:
    rig.config = rig.config_with(tap_max_messages=50)
    with opened(rig):
        pass
    left = now() - 5_000
    rig.flood([b"%d" % n for n in range(80)])
    with opened(rig, last_seen=left) as consumer:
        deliveries, gaps = drain(consumer, lambda d, g: len(d) >= 50 and g)
    assert [int(each.payload) for each in deliveries] == list(range(30, 80))
    [gap] = gaps
    assert (gap.started, gap.missed) == (left, None)
    assert "overflowed" in gap.reason


def test_a_firehose_that_was_never_on_needs_a_person(rig: FirehoseRig) -> None:
    rig.server.trace(on=False)
    words = "firehose of the virtual host '/' is off"
    with pytest.raises(PermanentFailure, match=words) as found, opened(rig):
        pass
    assert "rabbitmqctl trace_on -p /" in found.value.way_out
    failed = list(rig.adapter.check_connection(rig.config_with()))[-1]
    assert (failed.name, failed.verdict) == ("firehose", Verdict.FAILED)
    assert "trace_on" in failed.way_out


def test_while_it_is_off_a_person_is_asked_and_the_span_becomes_a_gap(rig: FirehoseRig) -> None:
    checkpoint: dict[str, str] = {}
    with opened(rig) as consumer:
        rig.flood([b"before"])
        kept = receive_batch(consumer, 1)
        consumer.settle(kept)
        checkpoint.update(kept.checkpoint)
        began = now()
        rig.server.trace(on=False)
        rig.flood([b"unseen"])
        with pytest.raises(PermanentFailure, match="is off"):
            until(lambda: not remember(consumer, checkpoint), "the consumer notices")
    assert int(checkpoint["blind_since"]) <= began
    with (
        pytest.raises(PermanentFailure, match="is off"),
        opened(rig, last_seen=now(), checkpoint=checkpoint),
    ):
        pass
    rig.server.trace(on=True)
    rig.flood([b"after"])
    with opened(rig, last_seen=now(), checkpoint=checkpoint) as consumer:
        received = [remember(consumer, checkpoint)]
        while not received[-1].deliveries:
            assert now() < began + 60_000
            received.append(remember(consumer, checkpoint))
    deliveries = [each for batch in received for each in batch.deliveries]
    [gap] = [gap for batch in received for gap in batch.gaps]
    assert [each.payload for each in deliveries] == [b"after"]
    assert "firehose was off" in gap.reason
    assert began - 5_000 < gap.started <= began <= gap.ended
    with opened(rig, last_seen=now(), checkpoint=checkpoint) as consumer:
        assert consumer.receive(10, 0.3).gaps == []


def remember(consumer: Consumer, checkpoint: dict[str, str]) -> Received:
    """Receive and settle once, and keep what the store would keep."""
    received = consumer.receive(100, 0.2)
    checkpoint.update(received.checkpoint)
    consumer.settle(received)
    return received
