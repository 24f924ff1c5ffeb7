"""A cluster of three nodes: each destination is where its slot is, and a lost node is a gap."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.crc import key_slot

from collectors.redis_pubsub import RedisPubSub
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.contract import Confirmed, Consumer, Message, Refused, StartFrom, Verdict
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.redis_pubsub import server as servers
from tests.brokers.redis_pubsub.estates import Cluster, cluster
from tests.brokers.redis_pubsub.rig import until_lost
from tests.conftest import require
from tests.contracts.broker import collect, observation, until
from tests.servers.process import free_port

ADAPTER = RedisPubSub()


@pytest.fixture(scope="module")
def estate() -> Iterator[Cluster]:
    require("redis", servers.missing("redis"))
    with cluster() as started:
        yield started


@contextmanager
def observing(config: RedisPubSubConfig, **more: object) -> Iterator[Consumer]:
    consumer = ADAPTER.consumer(config, observation(**more))
    consumer.open()
    try:
        yield consumer
    finally:
        consumer.close()


def found(consumer: Consumer, count: int) -> set[tuple[str, bytes]]:
    return {(each.destination, each.payload) for each in collect(consumer, count)}


def publish(config: RedisPubSubConfig, names: list[str]) -> None:
    publisher = ADAPTER.publisher(config)
    for name in names:
        outcomes = publisher.publish([Message(b"1"), Message(b"2")], name)
        assert [type(each) for each in outcomes] == [Confirmed, Confirmed], outcomes
    publisher.close()


def test_what_any_node_publishes_comes(estate: Cluster) -> None:
    with observing(estate.config(patterns=["orders.*"])) as consumer:
        for number, node in enumerate(estate.nodes):
            with node.client() as client:
                client.publish(f"orders.{number}", b"1")
        assert found(consumer, 3) == {(f"orders.{n}", b"1") for n in range(3)}


def test_sharded_channels_are_heard_where_they_live(estate: Cluster) -> None:
    names = estate.names("ticks")
    config = estate.config(patterns=["orders.*"], sharded_channels=names)
    with observing(config) as consumer:
        publish(config, [*names, "orders.eu"])
        wanted = {(name, payload) for name in [*names, "orders.eu"] for payload in (b"1", b"2")}
        assert found(consumer, 8) == wanted
        discovered = {each.name: each.kind for each in ADAPTER.discover(config)}
    assert {discovered[name] for name in names} == {"sharded channel"}


def test_streams_of_different_nodes_are_read(estate: Cluster) -> None:
    names = estate.names("audit")
    config = estate.config(mode="log", streams=names, dead_letters=names[:1])
    publish(config, names)
    with observing(config, start=StartFrom.EARLIEST) as consumer:
        assert found(consumer, 6) == {(name, text) for name in names for text in (b"1", b"2")}
        started = time.monotonic()
        assert consumer.receive(10, 0.2).deliveries == []
        assert time.monotonic() - started >= 0.2
    letters = ADAPTER.dead_letters(config)
    first, _ = letters.peek(names[0], 10)
    assert letters.remove([first]) == [Confirmed()]
    letters.close()


@pytest.mark.parametrize("mode", ["browse", "consume"])
def test_lists_of_different_nodes_are_read(estate: Cluster, mode: str) -> None:
    names = [*estate.names(f"jobs.{mode}"), f"a{{tag}}b.{mode}"]
    config = estate.config(mode=mode, lists=names)
    publish(config, names)
    probe = ADAPTER.depth(config)
    waiting = {each.destination: each.waiting for each in probe.sample(100).samples}
    probe.close()
    assert waiting == dict.fromkeys(names, 2)
    assert set(names) <= {each.name for each in ADAPTER.discover(config)}
    with observing(config, start=StartFrom.EARLIEST) as consumer:
        assert found(consumer, 8) == {(name, text) for name in names for text in (b"1", b"2")}
    left = 2 if mode == "browse" else 0
    with estate.client() as client:
        assert [client.llen(name) for name in names] == [left] * 4
        ADAPTER.remove_traces(config, observation())
        assert list(client.scan_iter("eventhub:*", target_nodes="primaries")) == []


def test_subscribers_of_all_nodes_are_counted(estate: Cluster) -> None:
    with estate.nodes[1].client() as one, estate.nodes[2].client() as two:
        listeners = [one.pubsub(), two.pubsub()]
        for listener in listeners:
            listener.subscribe("chat")
        until(
            lambda: all(node.pubsub_channels("chat") for node in (one, two)), "both are subscribed"
        )
        probe = ADAPTER.depth(estate.config(patterns=["chat"]))
        assert [each.consumers for each in probe.sample(10).samples] == [2]
        probe.close()
        [discovered] = [d for d in ADAPTER.discover(estate.config()) if d.name == "chat"]
        for listener in listeners:
            listener.close()
    assert discovered.detail == "2 subscribers"


def test_the_connection_test_tells_of_the_nodes(estate: Cluster) -> None:
    config = estate.config()
    away = config.model_copy(update={"nodes": [f"127.0.0.1:{free_port()}", *config.nodes]})
    steps = {step.name: step for step in ADAPTER.check_connection(away)}
    assert {step.verdict for step in steps.values()} == {Verdict.OK}
    assert steps["cluster"].words == ("3 node(s) serve all 16,384 slots, and each can be reached.")


def test_an_address_that_a_cluster_announces_is_checked_as_any_other(
    estate: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = estate.names("ticks")
    away = next(name for name in names if estate.owner(name) is not estate.nodes[0])
    config = estate.config(sharded_channels=[away])
    with estate.owner(away).client() as client, estate.nodes[0].client() as first:
        client.config_set("cluster-announce-ip", "169.254.169.254")
        try:
            until(
                lambda: "169.254.169.254" in str(first.execute_command("CLUSTER SLOTS")),
                "the others know",
            )
            with pytest.raises(PermanentFailure, match="cloud metadata"), observing(config):
                pass
            *_, failed = ADAPTER.check_connection(config)
        finally:
            client.config_set("cluster-announce-ip", "127.0.0.1")
            until(estate.whole, "the cluster is whole")
            until(
                lambda: "169.254.169.254" not in str(first.execute_command("CLUSTER SLOTS")),
                "the others know",
            )
    assert (failed.name, failed.verdict) == ("cluster", Verdict.FAILED)
    assert "cloud metadata" in failed.words


def test_a_single_server_and_a_node_are_not_taken_for_each_other(estate: Cluster) -> None:
    away = next(n for n in estate.names("ticks") if estate.owner(n) is not estate.nodes[0])
    single = estate.nodes[0].config(sharded_channels=[away])
    *_, failed = ADAPTER.check_connection(single)
    assert failed.verdict is Verdict.FAILED
    assert failed.way_out.startswith("Choose the deployment cluster")
    with servers.running("redis") as server:
        alone = estate.config(nodes=[f"127.0.0.1:{server.port}"])
        *_, failed = ADAPTER.check_connection(alone)
    assert (failed.name, failed.verdict) == ("cluster", Verdict.FAILED)
    assert failed.way_out == "Choose the deployment single."


def test_a_slot_that_moves_is_followed(estate: Cluster) -> None:
    """The publisher is told, and goes to the new owner the next time; a subscription ends."""
    name = next(n for n in estate.names("moved") if estate.owner(n) is estate.nodes[0])
    config = estate.config(lists=[name], sharded_channels=[name])
    publisher = ADAPTER.publisher(config)
    assert isinstance(publisher.publish([Message(b"1")], name)[0], Confirmed)
    with observing(config) as consumer, estate.nodes[0].client() as old:
        old.delete(name)
        slot = key_slot(name.encode())
        _give(estate, slot, estate.nodes[1])
        try:
            loss = consumer.receive(10, 10)
            with pytest.raises(NotConnected, match=f"took the subscription of {name} away"):
                consumer.receive(10, 0.1)
            outcomes = publisher.publish([Message(b"2")], name)
            assert isinstance(outcomes[0], Refused)
            assert "Another server serves this now" in outcomes[0].reason
            assert isinstance(publisher.publish([Message(b"3")], name)[0], Confirmed)
            with observing(config, checkpoint=loss.checkpoint) as again:
                assert len(again.receive(10, 1).gaps) == 1
                with estate.nodes[1].client() as new:
                    assert new.lrange(name, 0, -1) == [b"3"]
                    new.execute_command("SPUBLISH", name, b"4")
                    new.delete(name)
                assert found(again, 1) == {(name, b"4")}
        finally:
            _give(estate, slot, estate.nodes[0])
    publisher.close()


def test_a_lost_owner_is_noticed_and_is_a_gap(estate: Cluster) -> None:
    away = next(n for n in estate.names("ticks") if estate.owner(n) is not estate.nodes[0])
    owner = estate.owner(away)
    config = estate.config(sharded_channels=[away])
    consumer = ADAPTER.consumer(config, observation())
    consumer.open()
    owner.kill()
    _, checkpoint = until_lost(consumer)
    consumer.close()
    with pytest.raises(NotConnected), observing(config):
        pass
    owner.start()
    until(estate.whole, "the cluster is whole again")
    with observing(config, checkpoint=checkpoint) as again:
        [gap] = again.receive(10, 1).gaps
        assert gap.started <= gap.ended
        with owner.client() as client:
            client.execute_command("SPUBLISH", away, b"1")
        assert found(again, 1) == {(away, b"1")}


def _give(estate: Cluster, slot: int, to: servers.RedisServer) -> None:
    """Make this node the owner of a slot without keys, and wait until all know it."""
    with to.client() as client:
        owner = client.execute_command("CLUSTER", "MYID")
    for node in [to, *(each for each in estate.nodes if each is not to)]:
        with node.client() as client:
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", owner)
