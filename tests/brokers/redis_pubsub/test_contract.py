"""Redis Pub/Sub keeps the contract, on Redis and on Valkey."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
import redis
from pydantic import SecretStr

from collectors.redis_pubsub import RedisPubSub
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.contract import Consumer
from tests.brokers.redis_pubsub import server as servers
from tests.conftest import require
from tests.contracts.broker import (
    BadSetting,
    BrokerContract,
    Grave,
    Rig,
    opened,
    receive_batch,
    until,
)
from tests.servers.certificates import self_signed
from tests.servers.process import free_port


class Listener:
    """A plain subscriber of somebody else."""

    def __init__(self, server: servers.RedisServer, channel: str) -> None:
        self._client: Any = server.client()
        self._channel = channel
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(channel)
        self._pubsub.get_message(timeout=20)  # the confirmation: subscribed from here on
        self._got: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def received(self) -> list[bytes]:
        return list(self._got)

    def facts(self) -> Mapping[str, object]:
        with self._client.client() as asking:
            [(_, count)] = asking.pubsub_numsub(self._channel)
        return {"subscribers": count}

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._pubsub.close()
        self._client.close()

    def _listen(self) -> None:
        with suppress(redis.RedisError):
            while not self._stop.is_set():
                message = self._pubsub.get_message(timeout=0.05)
                if message is not None:
                    self._got.append(message["data"])


class RedisRig(Rig):
    adapter = RedisPubSub()
    missing_target = None
    carries = frozenset[str]()
    header_values: Mapping[str, Any] = {}
    keeps_while_away = False
    config: RedisPubSubConfig

    def __init__(self, server: servers.RedisServer, tls_port: int | None) -> None:
        self.server = server
        self.broker_name = server.title
        self.proxied_port = server.port
        self.destination = self.target = f"orders.{uuid4().hex}"
        self.config = RedisPubSubConfig(
            host="127.0.0.1", port=server.port, patterns=[self.destination]
        )
        self._keys: list[str] = []
        change = self.config.model_copy
        self.bad_settings = {
            "host": BadSetting(change(update={"host": "no-such.invalid"}), "resolve", "resolve"),
            "port": BadSetting(change(update={"port": free_port()}), "connect", "Nothing listens"),
            "password": BadSetting(
                change(update={"user": "nobody", "password": SecretStr("hunter2-wrong")}),
                "authenticate",
                "refused the name or the password",
            ),
            "a password where none is": BadSetting(
                change(update={"password": SecretStr("hunter2-none")}),
                "authenticate",
                "Leave the password empty",
            ),
            "TLS on a plain port": BadSetting(change(update={"tls": True}), "tls", "without TLS"),
        }
        if tls_port is not None:
            secured = change(update={"port": tls_port})
            self.bad_settings |= {
                "no TLS on a TLS port": BadSetting(secured, "authenticate", "speaks TLS"),
                "a certificate that nobody signed": BadSetting(
                    secured.model_copy(update={"tls": True}), "tls", "not trusted"
                ),
            }

    def flood(self, payloads: list[bytes]) -> None:
        with self.server.client() as client, client.pipeline(transaction=False) as pipeline:
            for payload in payloads:
                pipeline.publish(self.target, payload)
            pipeline.execute()

    def fill(self, count: int) -> str:
        """A stream that a group has yet to read."""
        name = f"jobs.{uuid4().hex}"
        with self.server.client() as client:
            client.xgroup_create(name, "workers", id="0", mkstream=True)
            for n in range(count):
                client.xadd(name, {"n": n})
        self._keys.append(name)
        self.config = self.config.model_copy(update={"streams": [*self.config.streams, name]})
        return name

    def bury(self, payloads: list[bytes]) -> Grave:
        """As a consumer does that gives up after three attempts."""
        name = f"{self.destination}.dead-letters"
        told = {"origin": self.destination, "reason": "no such article", "attempts": 3}
        with self.server.client() as client:
            for payload in payloads:
                client.xadd(name, {**told, "payload": payload})
        self._keys.append(name)
        self.config = self.config.model_copy(update={"dead_letters": [name]})
        return Grave(name, self.destination, "no such article", 3)

    def through(self, port: int) -> RedisPubSubConfig:
        return self.config.model_copy(update={"port": port})

    def remove(self) -> None:
        with self.server.client() as client:
            client.delete(*self._keys, b"")

    def abandon(self, consumer: Consumer) -> None:
        consumer.close()  # there is no other way to leave a Redis server

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    @contextmanager
    def bystander(self) -> Iterator[Listener]:
        listener = Listener(self.server, self.destination)
        try:
            yield listener
        finally:
            listener.close()

    def traces(self) -> set[str]:
        """Keys, and connections of ours; the server notices a closed one a moment later."""

        def left() -> set[str]:
            with self.server.client() as client:
                names = {entry["name"] for entry in client.client_list()}
                keys = {key.decode() for key in client.scan_iter()} - set(self._keys)
            return keys | {name for name in names if name.startswith("eventhub")}

        with suppress(AssertionError):
            until(lambda: not left(), "no connection of ours is left")
        return left()


@pytest.fixture(scope="module", params=["valkey", "redis"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[servers.RedisServer, int | None]]:
    """A started server, and its port that speaks TLS (the embedded Valkey is built without)."""
    name = request.param
    require(name, servers.missing(name))
    tls_port, options = None, list[str]()
    if name == "redis":
        files = self_signed(tmp_path_factory.mktemp("tls"))
        tls_port = free_port()
        options = [
            "--tls-port", str(tls_port), "--tls-auth-clients", "no",
            "--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key),
        ]  # fmt: skip
    with servers.running(name, options) as started:
        yield started, tls_port


class TestRedis(BrokerContract):
    @pytest.fixture
    def rig(self, server: tuple[servers.RedisServer, int | None]) -> Iterator[Rig]:
        started, tls_port = server
        rig = RedisRig(started, tls_port)
        standing = Listener(started, rig.destination)  # a channel exists while it has a subscriber
        try:
            yield rig
        finally:
            standing.close()
            rig.remove()


class StreamRig(RedisRig):
    """A stream, read as a log."""

    carries = frozenset({"headers"})
    header_values: Mapping[str, Any] = {"text": "Grüße", "bytes": b"\xff\0"}
    keeps_while_away = True

    def __init__(self, server: servers.RedisServer, tls_port: int | None) -> None:
        super().__init__(server, None)
        self._keys.append(self.destination)
        self.config = self.config.model_copy(
            update={"mode": "log", "streams": [self.destination], "patterns": []}
        )
        closed = self.config.model_copy(update={"port": free_port()})
        other = f"{self.destination}.text"
        with server.client() as client:
            client.set(other, "no stream")
        self._keys.append(other)
        wrong = self.config.model_copy(update={"streams": [other]})
        self.bad_settings = {
            "port": BadSetting(closed, "connect", "Nothing listens"),
            "no stream": BadSetting(wrong, "permissions", "WRONGTYPE"),
        }

    def flood(self, payloads: list[bytes]) -> None:
        with self.server.client() as client, client.pipeline(transaction=False) as pipeline:
            for payload in payloads:
                pipeline.xadd(self.destination, {"payload": payload})
            pipeline.execute()

    def abandon(self, consumer: Consumer) -> None:
        consumer.close()

    @contextmanager
    def bystander(self) -> Iterator["Worker"]:  # type: ignore[override]
        yield Worker(self.server, self.destination)


class Worker:
    """A consumer group of somebody else, that reads and acknowledges when it is asked."""

    def __init__(self, server: servers.RedisServer, stream: str) -> None:
        self._server, self._stream = server, stream
        self._got: list[bytes] = []
        with server.client() as client:
            client.xgroup_create(stream, "workers", id="$", mkstream=True)

    def received(self) -> list[bytes]:
        with self._server.client() as client:
            answer: Any = client.xreadgroup("workers", "w1", {self._stream: ">"}, count=100)
            for _, entries in answer:
                self._got += [fields[b"payload"] for _, fields in entries]
                client.xack(self._stream, "workers", *(entry for entry, _ in entries))
        return list(self._got)

    def facts(self) -> Mapping[str, object]:
        with self._server.client() as client:
            [group] = client.xinfo_groups(self._stream)
        return {"pending": group["pending"], "consumers": group["consumers"], "groups": 1}


class TestRedisStream(BrokerContract):
    @pytest.fixture
    def rig(self, server: tuple[servers.RedisServer, int | None]) -> Iterator[Rig]:
        rig = StreamRig(*server)
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
