"""Whatever ends a subscription to Redis is a gap, and says when and why."""

import socket
import threading
import time
from contextlib import suppress

import msgspec
import pytest

from collectors.redis_pubsub import RedisPubSub, consumer, subscription
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.contract import Consumer, Gap, Received
from tests.brokers.redis_pubsub import server as servers
from tests.brokers.redis_pubsub.rig import until_lost
from tests.contracts.broker import collect, observation, until


def opened(port: int, **more: object) -> Consumer:
    config = RedisPubSubConfig(host="127.0.0.1", port=port)
    made = RedisPubSub().consumer(config, observation(**more))
    made.open()
    return made


def gap_after(port: int, checkpoint: dict[str, str], **more: object) -> tuple[Gap, Consumer]:
    again = opened(port, checkpoint=checkpoint, **more)
    received = again.receive(10, 1)
    assert received.checkpoint == {"loss": ""}, "a gap that is stored must not be told again"
    [gap] = received.gaps
    return gap, again


def test_a_client_that_is_killed_leaves_a_gap_from_its_last_sign_of_life(
    own_server: servers.RedisServer,
) -> None:
    before = now()
    first = opened(own_server.port)
    with own_server.client() as client:
        client.publish("orders", "seen")
        assert [delivery.payload for delivery in collect(first, 1)] == [b"seen"]
        [ours] = [each for each in client.client_list() if each["name"] == "eventhub-contract"]
        client.client_kill_filter(_id=ours["id"])
        until(lambda: client.pubsub_numpat() == 0, "the server has dropped us")
        client.publish("orders", "missed")
        deliveries, checkpoint = until_lost(first)
        first.close()
        noticed = now()
        gap, second = gap_after(own_server.port, checkpoint, last_seen=noticed)
        client.publish("orders", "seen again")
        assert [delivery.payload for delivery in collect(second, 1)] == [b"seen again"]
    second.close()
    assert deliveries == []
    assert before <= gap.started <= noticed <= gap.ended <= now()
    assert "closed the connection" in gap.reason


def test_a_gap_that_is_stored_is_not_told_again(own_server: servers.RedisServer) -> None:
    again = opened(own_server.port, checkpoint={"loss": ""}, last_seen=1_000)
    [gap] = again.receive(10, 1).gaps
    again.close()
    assert gap.started == 1_000
    assert "not subscribed" in gap.reason


def test_an_overflow_of_the_output_buffer_is_a_gap(own_server: servers.RedisServer) -> None:
    sent = [b"%06d" % number + bytes(10_000) for number in range(4_000)]
    first = opened(own_server.port)
    with own_server.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 1mb 0 0")
        try:
            with client.pipeline(transaction=False) as pipeline:
                for payload in sent:
                    pipeline.publish("orders", payload)
                pipeline.execute()
        finally:
            client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")
    deliveries, checkpoint = until_lost(first)
    first.close()
    gap, second = gap_after(own_server.port, checkpoint)
    second.close()
    assert 0 < len(deliveries) < len(sent)
    assert [delivery.payload for delivery in deliveries] == sent[: len(deliveries)]
    assert "output buffer" in gap.reason


def test_a_server_that_tells_overflows_gives_the_reason(own_server: servers.RedisServer) -> None:
    with own_server.client() as client:
        counted = client.info("stats").get("client_output_buffer_limit_disconnections")
    if counted is None:
        return  # Redis counts them from 7.2 on
    loss = consumer.Loss(at=1_000, why="The server closed the connection.", overflows=counted - 1)
    gap, again = gap_after(own_server.port, {"loss": msgspec.json.encode(loss).decode()})
    again.close()
    assert gap.started == 1_000
    assert "dropped us because its output buffer" in gap.reason


def test_while_the_store_is_away_the_output_buffer_does_not_fill(
    own_server: servers.RedisServer,
) -> None:
    sent = [b"%06d" % number + bytes(10_000) for number in range(4_000)]
    observing = opened(own_server.port)
    with own_server.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 8mb 0 0")
        try:
            for start in range(0, len(sent), 100):
                with client.pipeline(transaction=False) as pipeline:
                    for payload in sent[start : start + 100]:
                        pipeline.publish("orders", payload)
                    pipeline.execute()
                observing.keep_alive()
        finally:
            client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")
    assert [delivery.payload for delivery in collect(observing, len(sent))] == sent
    observing.close()


def test_a_connection_that_is_dead_on_one_side_is_noticed(
    own_server: servers.RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PING_AFTER", 0.2)
    monkeypatch.setattr(subscription, "PONG_WITHIN", 0.4)
    with Relay(own_server.port) as relay, own_server.client() as client:
        first = opened(relay.port)
        client.publish("orders", "seen")
        collect(first, 1)
        relay.frozen.set()
        frozen = now()
        client.publish("orders", "missed")
        _, checkpoint = until_lost(first)
        first.close()
    gap, second = gap_after(own_server.port, checkpoint)
    second.close()
    assert gap.started <= frozen
    assert "PING" in gap.reason


def test_silence_is_no_loss_while_the_server_answers(
    own_server: servers.RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PING_AFTER", 0.1)
    monkeypatch.setattr(subscription, "PONG_WITHIN", 0.2)
    observing = opened(own_server.port)
    until_time = time.monotonic() + 1.0
    received = [Received([])]
    while time.monotonic() < until_time:
        received.append(observing.receive(10, 0.1))
    observing.close()
    assert all((each.gaps, each.checkpoint) == ([], {}) for each in received)


class Relay:
    """Passes bytes between a client and the server, until it is `frozen`: then it is silent, as
    a host that has lost its network."""

    def __init__(self, port: int) -> None:
        self.frozen = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._server = socket.create_connection(("127.0.0.1", port))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> "Relay":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listening, self._server, self._client):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        self._client, _ = self._listening.accept()
        back = threading.Thread(target=self._pass, args=(self._server, self._client), daemon=True)
        self._threads.append(back)
        back.start()
        self._pass(self._client, self._server)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65_536):
                if not self.frozen.is_set():
                    target.sendall(chunk)


def now() -> int:
    return time.time_ns() // 1_000_000
