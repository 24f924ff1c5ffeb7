"""Publishing: what is refused, what is unknown, and what other people's clients see."""

import subprocess
from uuid import uuid4

import pytest

from collectors.kafka import publisher as publisher_module
from eventhub.brokers.contract import Confirmed, Message, Refused, Unknown
from eventhub.brokers.errors import NotConnected
from tests.brokers.kafka.rig import KafkaRig
from tests.brokers.kafka.server import Broker, KafkaServer
from tests.contracts.broker import collect, opened, publishing
from tests.servers.process import free_port
from tests.servers.proxy import Proxy


@pytest.fixture
def rig(kafka: Broker) -> KafkaRig:
    return KafkaRig(kafka)


def test_a_missing_topic_is_refused_and_not_made(rig: KafkaRig) -> None:
    """This node makes a topic for whoever asks about it without saying that none is wanted."""
    name = f"missing.{uuid4().hex}"
    with publishing(rig) as publisher:
        for target in (name, "no such name!", ""):
            [outcome] = publisher.publish([Message(b"1")], target)
            assert isinstance(outcome, Refused)
    assert name not in rig.topics()


def test_a_target_may_name_a_partition(rig: KafkaRig) -> None:
    name = f"wide.{uuid4().hex}"
    rig.create(name, partitions=3)
    rig.config = rig.with_(topics=[name])
    with opened(rig) as consumer, publishing(rig) as publisher:
        [outcome] = publisher.publish([Message(b"1", key="k")], f"{name}/2")
        assert outcome == Confirmed("2/0")
        assert collect(consumer, 1)[0].position == "2/0"
        for target in (f"{name}/3", f"{name}/x", f"{name}/"):
            [refused] = publisher.publish([Message(b"1")], target)
            assert isinstance(refused, Refused), target


def test_a_key_gets_to_the_partition_that_javas_producers_choose(rig: KafkaRig) -> None:
    """murmur2 of "orders.eu", as org.apache.kafka.common.utils.Utils computes it."""
    name = f"wide.{uuid4().hex}"
    rig.create(name, partitions=16)
    with publishing(rig) as publisher:
        outcomes = publisher.publish([Message(b"1", key="orders.eu")] * 2, name)
    chosen = (_murmur2(b"orders.eu") & 0x7FFFFFFF) % 16
    assert outcomes == [Confirmed(f"{chosen}/0"), Confirmed(f"{chosen}/1")]


def _murmur2(data: bytes) -> int:
    """Kafka's, in the words of its Java source."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def test_a_compacted_topic_refuses_a_message_without_a_key_alone(rig: KafkaRig) -> None:
    name = f"compacted.{uuid4().hex}"
    rig.create(name, cleanup_policy="compact")
    with publishing(rig) as publisher:
        [refused] = publisher.publish([Message(b"1")], name)
        assert isinstance(refused, Refused)
        assert "key" in refused.reason
        [outcome] = publisher.publish([Message(b"1", key="k")], name)
        assert isinstance(outcome, Confirmed)


def test_a_topics_own_limit_meets_the_large_message_alone(rig: KafkaRig) -> None:
    name = f"small.{uuid4().hex}"
    rig.create(name, max_message_bytes="200000")
    messages = [Message(b"x" * 1_000) for _ in range(500)]
    messages.insert(250, Message(b"x" * 300_000))
    with publishing(rig) as publisher:
        outcomes = publisher.publish(messages, name)
    refused = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, Confirmed)]
    assert refused == [250]
    assert isinstance(outcomes[250], Refused)


def test_a_broker_that_is_away_takes_nothing(rig: KafkaRig) -> None:
    with publishing(rig, rig.at(free_port())) as publisher, pytest.raises(NotConnected):
        publisher.publish([Message(b"1")], rig.target)


def test_after_an_unknown_outcome_it_publishes_again(
    rig: KafkaRig, node: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "CONFIRM_SECONDS", 3.0)
    try:
        with Proxy(rig.proxied_port) as proxy:
            config = rig.through(proxy.port)
            with publishing(rig, config) as publisher:
                [first] = publisher.publish([Message(b"1")], rig.target)
                assert isinstance(first, Confirmed)
                proxy.freeze()
                [lost] = publisher.publish([Message(b"2")], rig.target)
                assert isinstance(lost, Unknown)
                with Proxy(rig.proxied_port) as mended:
                    rig.through(mended.port)
                    proxy.cut()
                    [again] = publisher.publish([Message(b"3")], rig.target)
                    assert isinstance(again, Confirmed)
    finally:
        rig.close()


def test_what_kcat_sends_arrives_and_what_we_send_kcat_reads(rig: KafkaRig) -> None:
    program = ["kcat", "-b", rig.server.address, "-t", rig.destination]
    with opened(rig) as consumer:
        subprocess.run(
            [*program, "-P", "-k", "orders.eu", "-H", "tenant=acme", "-H", "tenant=Grüße"],
            input=b'{"type": "OrderPlaced"}',
            check=True,
            timeout=20,
        )
        [delivery] = collect(consumer, 1)
    assert delivery.payload == b'{"type": "OrderPlaced"}'
    assert (delivery.key, delivery.type) == ("orders.eu", "OrderPlaced")
    assert delivery.headers == [("tenant", "acme"), ("tenant", "Grüße")]
    with publishing(rig) as publisher:
        replayed = Message(delivery.payload, key=delivery.key, headers=delivery.headers)
        publisher.publish([replayed], rig.target)
    read = subprocess.run(
        [*program, "-C", "-o", "0", "-e", "-q", "-f", "%k|%h|%s\n"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    first, second = read.stdout.splitlines()
    assert first == second == 'orders.eu|tenant=acme,tenant=Grüße|{"type": "OrderPlaced"}'
