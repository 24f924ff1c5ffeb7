"""What a source observes is deleted on a real RabbitMQ while it runs: the words, and the gap."""

import time
from collections.abc import Iterator

import pytest

from eventhub.brokers.contract import Consumer, Delivery, Gap, Message
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.rabbitmq.server import RabbitMQServer
from tests.brokers.rabbitmq.test_contract import RabbitMQRig, StreamRig
from tests.contracts.broker import DEADLINE, opened, publish, until


@pytest.fixture
def rig(rabbitmq: RabbitMQServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RabbitMQRig]:
    """The management API is asked for bindings more often than every 5 s."""
    monkeypatch.setattr("collectors.rabbitmq.watch._EVERY", 0.2)
    monkeypatch.setattr("collectors.rabbitmq.watch._BINDINGS_EVERY", 0.0)
    made = RabbitMQRig(rabbitmq)
    yield made
    made.remove()


def test_a_deleted_queue_ends_consuming_and_is_named_afterwards(rig: RabbitMQRig) -> None:
    queue = rig.fill(0)
    rig.config = rig.config_with(mode="consume", queues=[queue], exchanges=[])
    ended_and_named(rig, queue)


def test_a_deleted_stream_ends_its_log_and_is_named_afterwards(rabbitmq: RabbitMQServer) -> None:
    rig = StreamRig(rabbitmq)
    try:
        ended_and_named(rig, rig.destination)
    finally:
        rig.remove()


def ended_and_named(rig: RabbitMQRig, queue: str) -> None:
    with opened(rig) as consumer:
        rig.delete(queue)
        with pytest.raises(NotConnected, match=rf"'{queue}': the queue was removed"):
            until(lambda: consumer.receive(10, 0.2) is None, "the consumer notices")
    with pytest.raises(PermanentFailure, match=f"no queue '{queue}'") as found, opened(rig):
        pass
    assert "Choose among the queues" in found.value.way_out
    failed = list(rig.adapter.check_connection(rig.config_with()))[-1]
    assert (failed.name, failed.words) == ("permissions", str(found.value))


def test_a_deleted_exchange_needs_a_person_and_the_span_becomes_a_gap(rig: RabbitMQRig) -> None:
    checkpoint: dict[str, str] = {}
    with opened(rig) as consumer:
        rig.flood([b"waits"])
        deleted = now()
        rig.server.api("DELETE", f"/exchanges/%2F/{rig.exchange}")
        with pytest.raises(PermanentFailure, match=f"no exchange '{rig.exchange}'") as found:
            until(lambda: remember(consumer, checkpoint), "the consumer notices")
    assert "declare it first" in found.value.way_out
    assert checkpoint["payloads"] == "waits", "what waited in the tap is received before"
    with (
        pytest.raises(PermanentFailure, match="no exchange"),
        opened(rig, last_seen=now(), checkpoint=checkpoint),
    ):
        pass
    rig.server.api("PUT", f"/exchanges/%2F/{rig.exchange}", {"type": "topic", "durable": True})
    with opened(rig, last_seen=now(), checkpoint=checkpoint) as consumer:
        rig.flood([b"again"])
        _, gaps = drained(consumer, b"again")
    told_of_the_binding(gaps, deleted)


def test_an_exchange_that_is_made_anew_is_bound_again_with_a_gap(rig: RabbitMQRig) -> None:
    with opened(rig) as consumer:
        deleted = now()
        rig.server.api("DELETE", f"/exchanges/%2F/{rig.exchange}")
        rig.server.api("PUT", f"/exchanges/%2F/{rig.exchange}", {"type": "fanout", "durable": True})
        with_sink(rig)
        gaps: list[Gap] = []
        payloads: list[bytes] = []

        def bound_again() -> bool:
            publish(rig, Message(b"after"))
            received = consumer.receive(10, 0.1)
            gaps.extend(received.gaps)
            payloads.extend(delivery.payload for delivery in received.deliveries)
            consumer.settle(received)
            return bool(payloads and gaps)

        until(bound_again, "what is published arrives again, and the gap is told")
    told_of_the_binding(gaps, deleted)


def with_sink(rig: RabbitMQRig) -> None:
    """Another queue, so that publishing is confirmed without the tap."""
    queue = rig.fill(0)
    rig.server.api("POST", f"/bindings/%2F/e/{rig.exchange}/q/{queue}", {"routing_key": "#"})


def told_of_the_binding(gaps: list[Gap], deleted: int) -> None:
    [gap] = gaps
    assert "binding of the tap" in gap.reason
    assert deleted - 5_000 < gap.started <= deleted <= gap.ended


def remember(consumer: Consumer, checkpoint: dict[str, str]) -> None:
    """Receive and settle once, and keep what the store would keep, with the payloads."""
    received = consumer.receive(10, 0.2)
    checkpoint.update(received.checkpoint)
    for delivery in received.deliveries:
        checkpoint["payloads"] = delivery.payload.decode()
    consumer.settle(received)


def drained(consumer: Consumer, last: bytes) -> tuple[list[Delivery], list[Gap]]:
    """Receive and settle until that payload has come."""
    deliveries: list[Delivery] = []
    gaps: list[Gap] = []
    deadline = time.monotonic() + DEADLINE
    while last not in [each.payload for each in deliveries]:
        assert time.monotonic() < deadline
        received = consumer.receive(10, 0.2)
        deliveries += received.deliveries
        gaps += received.gaps
        consumer.settle(received)
    return deliveries, gaps


def now() -> int:
    return time.time_ns() // 1_000_000
