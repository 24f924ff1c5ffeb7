"""What a tap of topics particular to ActiveMQ does: wildcards, overlaps, losses."""

from collections.abc import Iterator
from typing import Any

import pytest

from collectors.activemq import ActiveMQ, ActiveMQConfig
from collectors.activemq import amqp as amqp_module
from eventhub.brokers.contract import Consumer
from eventhub.brokers.errors import NotConnected
from tests.brokers.activemq.others import flood, message
from tests.brokers.activemq.rig import ActiveMQRig, create, remove
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import collect, observation, until


@pytest.fixture
def rig(server: ActiveMQServer) -> Iterator[ActiveMQRig]:
    made = ActiveMQRig(server)
    yield made
    made.remove()


def opened(config: ActiveMQConfig, **told: Any) -> Consumer:
    consumer = ActiveMQ().consumer(config, observation(**told))
    consumer.open()
    return consumer


def rest(rig: ActiveMQRig) -> str:
    return ">" if rig.classic else "#"


def test_a_wildcard_observes_topics_that_appear_later(rig: ActiveMQRig) -> None:
    config = rig.config_with(destinations=[f"topic://{rig.topic}.{rest(rig)}"])
    consumer = opened(config)
    later = f"{rig.topic}.eu.new"
    # Clients that follow the JMS mapping write the destination into the message.
    flood(rig.server, f"topic://{later}", [message(b"1", address=later)])
    [found] = collect(consumer, 1)
    assert (found.destination, found.payload) == (f"topic://{later}", b"1")
    # One that does not leaves only the pattern to tell.
    flood(rig.server, f"topic://{later}", [message(b"2")])
    [found] = collect(consumer, 1)
    assert found.destination == config.destinations[0]
    consumer.close()
    remove(rig.server, later, topic=True)


def test_overlapping_destinations_bring_a_message_once(rig: ActiveMQRig) -> None:
    wide = f"topic://{rig.topic}.{rest(rig)}"
    names = [f"{rig.topic}.eu", wide, f"topic://{rig.topic}.eu", f"topic://{rig.topic}.*"]
    config = rig.config_with(destinations=names)
    assert [str(name) for name in config.names()] == [wide]
    consumer = opened(config)
    flood(rig.server, f"topic://{rig.topic}.eu", [message(b"1"), message(b"2")])
    assert [each.payload for each in collect(consumer, 2)] == [b"1", b"2"]
    assert consumer.receive(10, 0.3).deliveries == []
    consumer.close()
    remove(rig.server, f"{rig.topic}.eu", topic=True)


def test_several_topics_are_observed_by_one_connection(rig: ActiveMQRig) -> None:
    other = f"{rig.topic}-other"
    create(rig.server, other, topic=True)
    consumer = opened(rig.config_with(destinations=[rig.topic, other]))
    flood(rig.server, rig.target, [message(b"1")])
    flood(rig.server, f"topic://{other}", [message(b"2")])
    found = {each.destination: each.payload for each in collect(consumer, 2)}
    assert found == {rig.destination: b"1", f"topic://{other}": b"2"}
    consumer.close()
    remove(rig.server, other, topic=True)


def test_a_loss_is_kept_and_becomes_a_gap(rig: ActiveMQRig) -> None:
    consumer = opened(rig.config)
    rig.flood([b"1"])
    collect(consumer, 1)
    consumer._feed._wire._socket.shutdown(2)  # type: ignore[attr-defined]
    checkpoint: dict[str, str] = {}
    until(lambda: checkpoint.update(consumer.receive(10, 0.2).checkpoint) or checkpoint, "a loss")
    with pytest.raises(NotConnected):
        consumer.receive(10, 0.2)
    consumer.close()
    second = opened(rig.config, checkpoint=checkpoint, last_seen=1)
    received = second.receive(10, 0.2)
    [gap] = received.gaps
    assert gap.started > 1_000_000_000_000, "from the loss, not from when it was last seen"
    assert gap.started <= gap.ended
    assert "closed" in gap.reason or "broke" in gap.reason
    assert received.checkpoint == {"loss": ""}, "the gap is stored with its loss forgotten"
    assert second.receive(10, 0.2).gaps == []
    second.close()
    third = opened(rig.config, checkpoint=received.checkpoint)
    assert third.receive(10, 0.2).gaps == [], "told once"
    third.close()


def test_a_store_that_is_too_slow_makes_the_tap_leave(
    rig: ActiveMQRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing piles up for us on the broker; the loss says how it came."""
    monkeypatch.setattr(amqp_module, "HELD_BYTES", 20_000)
    consumer = opened(rig.config)
    rig.flood([b"x" * 1_000] * 40)
    got: list[bytes] = []
    checkpoint: dict[str, str] = {}

    def lost() -> object:
        consumer.keep_alive()
        return consumer._feed.lost  # type: ignore[attr-defined]

    until(lost, "the tap leaves")
    while not checkpoint:
        received = consumer.receive(10, 0.2)
        got.extend(each.payload for each in received.deliveries)
        checkpoint.update(received.checkpoint)
    assert len(got) > 20, "what had been read ahead is not lost"
    assert "faster than they were stored" in checkpoint["loss"]
    consumer.close()


def test_a_topic_that_is_removed_ends_the_observation(rig: ActiveMQRig) -> None:
    if rig.classic:
        return  # Classic does not remove a topic while it has subscribers
    consumer = opened(rig.config)
    remove(rig.server, rig.topic, topic=True)
    with pytest.raises(NotConnected):
        until(lambda: consumer.receive(10, 0.2) is None, "the consumer notices")
    consumer.close()
