"""A master behind Sentinels: found, lost, and found again after a failover."""

import time
from collections.abc import Iterator

import pytest
import redis

from collectors.redis_pubsub import RedisPubSub, sentinel
from collectors.redis_pubsub.config import Endpoint, RedisPubSubConfig
from collectors.redis_pubsub.connect import dial
from eventhub.brokers.contract import Confirmed, Consumer, Message, Outcome, StartFrom, Verdict
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from tests.brokers.redis_pubsub import server as servers
from tests.brokers.redis_pubsub.estates import PASSWORD, Guarded, guarded
from tests.brokers.redis_pubsub.rig import until_lost
from tests.conftest import require
from tests.contracts.broker import collect, observation, until
from tests.servers.process import free_port

ADAPTER = RedisPubSub()


@pytest.fixture(scope="module")
def estate() -> Iterator[Guarded]:
    require("redis", servers.missing("redis"))
    with guarded() as started:
        yield started


def opened(config: RedisPubSubConfig, **more: object) -> Consumer:
    consumer = ADAPTER.consumer(config, observation(**more))
    consumer.open()
    return consumer


def test_the_connection_test_says_which_sentinel_names_which_master(estate: Guarded) -> None:
    first = f"127.0.0.1:{free_port()}"
    config = estate.config()
    away = config.model_copy(update={"sentinels": [first, *config.sentinels]})
    steps = list(ADAPTER.check_connection(away))
    assert [(step.name, step.verdict) for step in steps] == [
        (name, Verdict.OK)
        for name in ("sentinel", "resolve", "connect", "authenticate", "permissions")
    ]
    assert steps[0].words == (
        f"Sentinel {config.sentinels[0]} answers, and names 127.0.0.1:{estate.named()} as the"
        " master of 'shop'."
    )


@pytest.mark.parametrize(
    ("changes", "step", "words"),
    [
        ({"master_name": "orders"}, "sentinel", "knows no master called 'orders'"),
        ({"sentinel_password": "hunter2-wrong"}, "sentinel", "password of user 'eventhub'"),
        ({"sentinels": ["127.0.0.1:1"]}, "sentinel", "No Sentinel answers"),
        ({"password": "hunter2-wrong"}, "authenticate", "password of the default user"),
        ({"sentinel_tls": True}, "sentinel", "No TLS connection came about"),
    ],
)
def test_what_is_wrong_is_said(
    estate: Guarded, changes: dict[str, object], step: str, words: str
) -> None:
    started = time.monotonic()
    *_, failed = ADAPTER.check_connection(estate.config(**changes))
    assert time.monotonic() - started < 5
    assert (failed.name, failed.verdict) == (step, Verdict.FAILED)
    assert words in failed.words
    assert "hunter2-wrong" not in f"{failed.words} {failed.way_out}"


def test_an_address_that_a_sentinel_names_is_checked_as_any_other(estate: Guarded) -> None:
    port = estate.sentinels[0][0]
    with redis.Redis(port=port, socket_timeout=5) as client:
        client.execute_command("SENTINEL", "MONITOR", "metadata", "169.254.169.254", "80", "2")
        try:
            config = estate.config(master_name="metadata", sentinels=[f"127.0.0.1:{port}"])
            *_, failed = ADAPTER.check_connection(config)
            with pytest.raises(PermanentFailure, match="cloud metadata"):
                opened(config)
        finally:
            client.execute_command("SENTINEL", "REMOVE", "metadata")
    assert (failed.name, failed.verdict) == ("resolve", Verdict.FAILED)
    assert "cloud metadata" in failed.words


def test_a_server_that_is_no_master_is_not_taken_for_one(estate: Guarded) -> None:
    """As a Sentinel names it for a moment after a failover."""
    port = next(
        each.port for each in (estate.master, estate.replica) if each.port != estate.named()
    )
    connection = dial(estate.config(), Endpoint("127.0.0.1", port), name="test")
    told = Endpoint("127.0.0.1", estate.sentinels[0][0])
    with pytest.raises(NotConnected, match="is a slave now"):
        sentinel.must_be_master(connection, Endpoint("127.0.0.1", port), told)
    connection.close()


def test_another_master_ends_a_subscription_to_an_old_one_that_still_lives(
    estate: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the old one has lost its network, and not us."""
    monkeypatch.setattr(sentinel, "WATCH_EVERY", 0.05)
    port = estate.named()
    with servers.running("redis", ["--requirepass", PASSWORD]) as old:
        named = Endpoint("127.0.0.1", old.port)
        before = sentinel.find_master
        answers = iter([(named, named)])
        monkeypatch.setattr(
            sentinel, "find_master", lambda *told: next(answers, None) or before(*told)
        )
        consumer = opened(estate.config())
        until_lost(consumer)
        with pytest.raises(NotConnected, match=f"names 127.0.0.1:{port} as the master now"):
            consumer.receive(10, 0.1)
        consumer.close()


def test_after_a_failover_everything_goes_on_at_the_new_master(
    estate: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of this module: it leaves one server of two."""
    monkeypatch.setattr(sentinel, "WATCH_EVERY", 0.1)
    channels = opened(estate.config(patterns=["orders.*"]))
    streams = estate.config(mode="log", streams=["audit"])
    lists = estate.config(mode="consume", lists=["jobs"])
    first, second = opened(streams, start=StartFrom.EARLIEST), opened(lists)
    publisher = ADAPTER.publisher(lists)
    with estate.master.client() as client:
        client.xadd("audit", {"payload": "1"})
        client.publish("orders.eu", "1")
        assert isinstance(publisher.publish([Message(b"1")], "jobs")[0], Confirmed)
        for consumer in (channels, first, second):
            assert [each.payload for each in collect(consumer, 1)] == [b"1"]
        client.set("last", "")  # WAIT waits for this client's writes, and for all before them
        assert client.wait(1, 10_000) == 1, "the replica has it all"
    estate.master.kill()
    checkpoint: dict[str, str] = {}
    for consumer in (channels, first, second):
        checkpoint |= until_lost(consumer)[1]
        consumer.close()
    until(lambda: estate.named() == estate.replica.port, "the replica is the master")

    channels = comes_back(estate.config(patterns=["orders.*"]), checkpoint=checkpoint)
    [gap] = channels.receive(10, 1).gaps
    assert gap.started <= gap.ended
    second = comes_back(lists)
    with estate.replica.client() as client:
        client.publish("orders.eu", "2")
        assert [each.payload for each in collect(channels, 1)] == [b"2"]
        until(lambda: sent(publisher.publish([Message(b"2")], "jobs")), "the publisher is back")
        assert [each.payload for each in collect(second, 1)] == [b"2"]
    channels.close()
    second.close()
    publisher.close()


def comes_back(config: RedisPubSubConfig, **more: object) -> Consumer:
    """As a collector does: it tries again until the new master serves."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return opened(config, **more)
        except BrokerError:
            assert time.monotonic() < deadline, "the new master does not serve"
            time.sleep(0.05)


def sent(outcomes: list[Outcome]) -> bool:
    return isinstance(outcomes[0], Confirmed)
