"""Lists as work queues: looked into without a trace, or taken from at least once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from collectors.redis_pubsub import RedisPubSub, browser
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.contract import Confirmed, Consumer, Delivery, Message, StartFrom, Verdict
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.redis_pubsub import server as servers
from tests.contracts.broker import collect, observation, receive_batch, until

ADAPTER = RedisPubSub()


@pytest.fixture
def queue(server: servers.Server) -> Iterator[str]:
    name = f"jobs.{uuid4().hex}"
    yield name
    with server.client() as client:
        client.delete(name, *client.scan_iter("eventhub:*"))


@contextmanager
def observing(config: RedisPubSubConfig, **more: Any) -> Iterator[Consumer]:
    consumer = ADAPTER.consumer(config, observation(**{"start": StartFrom.EARLIEST, **more}))
    consumer.open()
    try:
        yield consumer
    finally:
        consumer.close()


def payloads(deliveries: list[Delivery]) -> list[bytes]:
    return [each.payload for each in deliveries]


def browsing(server: servers.Server, *names: str, **more: Any) -> RedisPubSubConfig:
    return server.config(mode="browse", lists=list(names), browse_seconds=0.1, **more)


def taking(server: servers.Server, *names: str, **more: Any) -> RedisPubSubConfig:
    return server.config(mode="consume", lists=list(names), **more)


class TestBrowse:
    def test_each_element_is_one_event_however_long_it_waits(
        self, server: servers.Server, queue: str
    ) -> None:
        with observing(browsing(server, queue)) as consumer, server.client() as client:
            client.lpush(queue, "a", "b", "b")
            assert payloads(collect(consumer, 3)) == [b"a", b"b", b"b"]
            assert consumer.receive(10, 0.5).deliveries == []
            client.rpop(queue)
            client.lpush(queue, "b")
            assert payloads(collect(consumer, 1)) == [b"b"]
            assert consumer.receive(10, 0.3).deliveries == []
            assert client.lrange(queue, 0, -1) == [b"b", b"b", b"b"]

    def test_a_consumer_that_waits_is_served_as_before(
        self, server: servers.Server, queue: str
    ) -> None:
        got: list[bytes] = []

        def work() -> None:
            with server.client() as client:
                while len(got) < 50:
                    got.append(client.brpop([queue], timeout=10)[1])

        worker = threading.Thread(target=work)
        worker.start()
        with observing(browsing(server, queue)) as consumer, server.client() as client:
            for n in range(50):
                client.lpush(queue, n)
                consumer.receive(10, 0)
            worker.join(20)
        assert got == [b"%d" % n for n in range(50)]

    def test_after_a_stop_only_what_is_new_comes(self, server: servers.Server, queue: str) -> None:
        with server.client() as client:
            client.lpush(queue, "old")
            with observing(browsing(server, queue), start=StartFrom.NOW) as consumer:
                client.lpush(queue, "1")
                kept = receive_batch(consumer, 1)
            assert payloads(kept.deliveries) == [b"1"]
            client.rpop(queue)
            client.lpush(queue, "2")
            again = {"checkpoint": kept.checkpoint, "last_seen": 1_000}
            with observing(browsing(server, queue), start=StartFrom.NOW, **again) as consumer:
                assert payloads(collect(consumer, 1)) == [b"2"]

    def test_an_element_removed_from_the_middle_brings_nothing_twice(
        self, server: servers.Server, queue: str
    ) -> None:
        with observing(browsing(server, queue)) as consumer, server.client() as client:
            client.lpush(queue, *"abcd")
            collect(consumer, 4)
            with client.pipeline() as pipeline:
                pipeline.lrem(queue, 1, "b").lpush(queue, "e").execute()
            assert payloads(collect(consumer, 1)) == [b"e"]
            assert consumer.receive(10, 0.3).deliveries == []

    def test_no_more_than_the_oldest_are_looked_at(
        self, server: servers.Server, queue: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(browser, "MOST", 5)
        with observing(browsing(server, queue)) as consumer, server.client() as client:
            client.lpush(queue, *range(8))
            assert payloads(collect(consumer, 5)) == [b"%d" % n for n in range(5)]
            assert consumer.receive(10, 0.3).deliveries == []
            client.rpop(queue, 2)
            assert payloads(collect(consumer, 2)) == [b"5", b"6"]

    def test_large_elements_are_read_a_few_at_a_time(
        self, server: servers.Server, queue: str
    ) -> None:
        sent = [b"%d" % n + bytes(3_000_000) for n in range(5)]
        with observing(browsing(server, queue)) as consumer, server.client() as client:
            client.lpush(queue, *sent)
            assert payloads(collect(consumer, 5)) == sent


@pytest.mark.parametrize("mode", ["browse", "consume"])
def test_the_old_end_may_be_the_left_one(server: servers.Server, queue: str, mode: str) -> None:
    config = server.config(mode=mode, lists=[queue], list_end="left", browse_seconds=0.1)
    publisher = ADAPTER.publisher(config)
    with observing(config) as consumer, server.client() as client:
        client.rpush(queue, "1", "2")
        [outcome] = publisher.publish([Message(b"3")], queue)
        assert isinstance(outcome, Confirmed)
        assert client.lrange(queue, 0, -1)[-1:] == [b"3"]
        assert payloads(collect(consumer, 3)) == [b"1", b"2", b"3"]
    publisher.close()


class TestConsume:
    def test_what_is_not_settled_comes_first_and_with_its_place(
        self, server: servers.Server, queue: str
    ) -> None:
        config = taking(server, queue)
        with server.client() as client:
            client.lpush(queue, *range(400))
            with observing(config) as consumer:
                consumer.settle(receive_batch(consumer, 100))
                before = receive_batch(consumer, 250).deliveries
            with observing(config) as consumer:
                again = collect(consumer, 300)
            assert client.llen(queue) == 0
        assert payloads(again) == [b"%d" % n for n in range(100, 400)]
        assert [each.position for each in again[:250]] == [each.position for each in before]
        assert [each.redelivered for each in again] == [True] * 250 + [False] * 50
        assert len({each.position for each in again}) == 300

    def test_a_collector_that_was_taken_over_can_neither_take_nor_settle(
        self, server: servers.Server, queue: str
    ) -> None:
        config = taking(server, queue)
        with server.client() as client, observing(config) as first:
            client.lpush(queue, "1")
            batch = receive_batch(first, 1)
            with observing(config) as second:
                client.lpush(queue, "2")
                with pytest.raises(NotConnected, match="taken the list over"):
                    first.receive(10, 0.1)
                with pytest.raises(NotConnected, match="taken the list over"):
                    first.settle(batch)
                assert payloads(collect(second, 2)) == [b"1", b"2"]

    def test_removing_the_traces_gives_back_what_is_not_settled(
        self, server: servers.Server, queue: str
    ) -> None:
        config = taking(server, queue)
        with server.client() as client:
            with observing(config) as consumer:
                client.lpush(queue, *"abc")
                collect(consumer, 3, settle=False)
                client.lpush(queue, "d")
            assert client.llen(queue) == 1
            ADAPTER.remove_traces(config, observation())
            assert client.lrange(queue, 0, -1) == [b"d", b"c", b"b", b"a"]
            assert list(client.scan_iter("eventhub:*")) == []

    def test_a_list_that_is_no_longer_named_gets_its_own_back(
        self, server: servers.Server, queue: str
    ) -> None:
        with server.client() as client:
            with observing(taking(server, queue)) as consumer:
                client.lpush(queue, "1", "2")
                collect(consumer, 2, settle=False)
            with observing(taking(server, f"{queue}.other")):
                assert client.lrange(queue, 0, -1) == [b"2", b"1"]

    def test_places_never_return_though_the_server_has_lost_them(
        self, server: servers.Server, queue: str
    ) -> None:
        config = taking(server, queue)
        places: list[int] = []
        with server.client() as client:
            for _ in range(2):
                with observing(config) as consumer:
                    client.lpush(queue, "same")
                    [delivery] = collect(consumer, 1)
                    assert delivery.position is not None
                    places.append(int(delivery.position))
                client.delete(*client.scan_iter("eventhub:*"))
        assert places[0] < places[1]

    def test_many_lists_share_a_batch(self, server: servers.Server, queue: str) -> None:
        names = [f"{queue}.{n}" for n in range(7)]
        with observing(taking(server, *names)) as consumer, server.client() as client:
            for name in names:
                client.lpush(name, *range(3))
            got: list[Delivery] = []

            def all_came() -> bool:
                received = consumer.receive(3, 0.2)
                assert len(received.deliveries) <= 3
                got.extend(received.deliveries)
                consumer.settle(received)
                return len(got) == 21

            until(all_came, "21 came")
        for name in names:
            assert payloads([d for d in got if d.destination == name]) == [b"0", b"1", b"2"]

    def test_large_elements_are_taken_a_few_at_a_time(
        self, server: servers.Server, queue: str
    ) -> None:
        sent = [b"%d" % n + bytes(3_000_000) for n in range(5)]
        with observing(taking(server, queue)) as consumer, server.client() as client:
            client.lpush(queue, *sent)
            first = consumer.receive(100, 1)
            assert len(first.deliveries) == 2, "a take ends once it has more than 4 MB"
            rest = collect(consumer, 3)
        assert payloads([*first.deliveries, *rest]) == sent


class TestPermissions:
    """With the commands of the README."""

    @contextmanager
    def user(self, server: servers.RedisServer, *rights: str) -> Iterator[dict[str, str]]:
        with server.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "worker", "reset", "on", ">secret", "-@all", *rights
            )
            yield {"user": "worker", "password": "secret"}
            client.execute_command("ACL", "DELUSER", "worker")

    def test_the_least_to_browse(self, own_server: servers.RedisServer, queue: str) -> None:
        with self.user(own_server, "+ping", "+llen", "+lrange", f"%R~{queue}") as signed_in:
            config = browsing(own_server, queue, **signed_in)
            assert {step.verdict for step in ADAPTER.check_connection(config)} == {Verdict.OK}
            with observing(config) as consumer, own_server.client() as client:
                client.lpush(queue, "1")
                assert payloads(collect(consumer, 1)) == [b"1"]

    def test_the_least_to_consume(self, own_server: servers.RedisServer, queue: str) -> None:
        with self.user(own_server, *_CONSUMES, f"~{queue}", "~eventhub:*") as signed_in:
            config = taking(own_server, queue, **signed_in)
            assert {step.verdict for step in ADAPTER.check_connection(config)} == {Verdict.OK}
            with own_server.client() as client:
                with observing(config) as consumer:
                    client.lpush(queue, "1")
                    collect(consumer, 1)
                with observing(config) as consumer:
                    client.lpush(queue, "2")
                    assert payloads(collect(consumer, 1, settle=False)) == [b"2"]
                ADAPTER.remove_traces(config, observation())
                assert client.lrange(queue, 0, -1) == [b"2"]

    @pytest.mark.parametrize("without", ["+rpush", "+hset", "+eval", "+ltrim"])
    def test_a_missing_right_is_told_and_loses_nothing(
        self, own_server: servers.RedisServer, queue: str, without: str
    ) -> None:
        rights = [right for right in _CONSUMES if right != without]
        with (
            self.user(own_server, *rights, f"~{queue}", "~eventhub:*") as signed_in,
            own_server.client() as client,
        ):
            client.lpush(queue, "1")
            config = taking(own_server, queue, **signed_in)
            *_, failed = ADAPTER.check_connection(config)
            with pytest.raises(PermanentFailure, match="may not"), observing(config) as consumer:
                consumer.settle(consumer.receive(10, 0.1))
            taken = [client.lrange(key, 0, -1) for key in client.scan_iter("eventhub:*:taken:*")]
            assert client.lrange(queue, 0, -1) == [b"1"] or taken == [[b"1"]]
        assert (failed.name, failed.verdict) == ("permissions", Verdict.FAILED)
        assert without in failed.way_out

    def test_a_right_that_only_giving_back_needs_is_asked_for_beforehand(
        self, own_server: servers.RedisServer, queue: str
    ) -> None:
        rights = [right for right in _CONSUMES if right != "+rpop"]
        with self.user(own_server, *rights, f"~{queue}", "~eventhub:*") as signed_in:
            *_, failed = ADAPTER.check_connection(taking(own_server, queue, **signed_in))
            with own_server.client() as client:
                assert list(client.scan_iter("eventhub:*")) == []
        assert (failed.name, failed.verdict) == ("permissions", Verdict.FAILED)
        assert "+rpop" in failed.way_out


_CONSUMES = (
    "+ping", "+eval", "+hget", "+hset", "+hsetnx", "+hincrby", "+del", "+llen", "+lrange",
    "+ltrim", "+rpop", "+lpush", "+rpush", "+sadd", "+srem", "+smembers",
)  # fmt: skip


@pytest.mark.parametrize("mode", ["browse", "consume"])
def test_no_list_is_refused(mode: str) -> None:
    with pytest.raises(ValidationError, match="at least one list"):
        RedisPubSubConfig.model_validate({"host": "localhost", "mode": mode})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "Give the server's host"),
        ({"deployment": "sentinel"}, "at least one Sentinel"),
        ({"deployment": "cluster"}, "at least one node"),
        ({"deployment": "cluster", "nodes": ["a:b"]}, "no host:port"),
        ({"deployment": "cluster", "nodes": ["redis://a"]}, "no host:port"),
    ],
)
def test_a_deployment_needs_its_addresses(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RedisPubSubConfig.model_validate(settings)


def test_a_port_that_is_left_out_is_the_usual_one() -> None:
    config = RedisPubSubConfig(deployment="sentinel", sentinels=["a", "[::1]", "b:7"])
    assert config.sentinels == ["a:26379", "[::1]:26379", "b:7"]
    assert config.address() == "mymaster by a:26379 and 2 more"
    assert config.secrets_go_to() == [*config.sentinels, "mymaster"]
