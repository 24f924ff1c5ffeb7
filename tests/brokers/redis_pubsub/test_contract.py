"""Redis Pub/Sub keeps the contract, on Redis and on Valkey."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.brokers.redis_pubsub.rig import BrowseRig, Listener, RedisRig, StreamRig, TakeRig
from tests.brokers.redis_pubsub.server import GIVEN, Server
from tests.contracts.broker import BrokerContract, Rig, collect, opened, receive_batch


class TestRedis(BrokerContract):
    @pytest.fixture
    def rig(self, server: Server) -> Iterator[Rig]:
        rig = RedisRig(server)
        standing = Listener(server, rig.destination)  # a channel exists while it has a subscriber
        try:
            yield rig
        finally:
            standing.close()
            rig.remove()


class TestRedisStream(BrokerContract):
    @pytest.fixture
    def rig(self, server: Server) -> Iterator[Rig]:
        rig = StreamRig(server)
        with rig.server.client() as client:
            entry: Any = client.xadd(rig.destination, {"payload": "first"})
            client.xdel(rig.destination, entry)
        try:
            yield rig
        finally:
            rig.remove()

    def test_what_a_limit_removed_before_it_was_read_is_a_gap(self, rig: StreamRig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"1", b"2"])
            kept = receive_batch(consumer, 2)
        rig.flood([b"3", b"4", b"5"])
        with rig.server.client() as client:
            client.xtrim(rig.destination, maxlen=1, approximate=False)
        with opened(rig, checkpoint=kept.checkpoint, last_seen=1_000) as consumer:
            received = receive_batch(consumer, 1)
        assert [each.payload for each in received.deliveries] == [b"5"]
        assert [(gap.missed, gap.started) for gap in received.gaps] == [(2, 1_000)]

    def test_a_stream_that_was_made_anew_is_read_from_its_beginning(self, rig: StreamRig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"1"])
            kept = receive_batch(consumer, 1)
        with rig.server.client() as client:
            client.delete(rig.destination)
            client.xadd(rig.destination, {"payload": b"new"}, id="5-1")
        with opened(rig, checkpoint=kept.checkpoint, last_seen=1_000) as consumer:
            received = receive_batch(consumer, 1)
        assert [each.payload for each in received.deliveries] == [b"new"]
        assert len(received.gaps) == 1


# On one of the two: it calls nothing but LLEN and LRANGE.
@pytest.mark.parametrize("server", ["given" if GIVEN else "redis"], indirect=True)
class TestRedisListBrowsed(BrokerContract):
    @pytest.fixture
    def rig(self, server: Server) -> Iterator[Rig]:
        rig = BrowseRig(server)
        try:
            yield rig
        finally:
            rig.remove()


class TestRedisListConsumed(BrokerContract):
    @pytest.fixture
    def rig(self, server: Server) -> Iterator[Rig]:
        rig = TakeRig(server)
        try:
            yield rig
        finally:
            rig.remove()

    def test_looking_changes_nothing_for_others(self, rig: Rig) -> None:
        """It does not look, it takes: each element goes to one consumer, in the list's order."""
        with rig.bystander() as other:
            rig.flood([b"1", b"2"])
            assert other.received() == [b"1", b"2"]
            with opened(rig) as consumer:
                rig.flood([b"3", b"4"])
                assert [each.payload for each in collect(consumer, 2)] == [b"3", b"4"]
                assert other.received() == [b"1", b"2"]
            rig.flood([b"5"])
            assert other.received() == [b"1", b"2", b"5"]
