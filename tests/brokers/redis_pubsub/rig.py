"""A destination of a test's own on a Redis server: a channel, a stream or a list."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
import redis
from pydantic import SecretStr

from collectors.redis_pubsub import RedisPubSub
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.contract import Consumer, Delivery
from eventhub.brokers.errors import NotConnected
from tests.brokers.redis_pubsub.server import RedisServer, Server
from tests.contracts.broker import BadSetting, Grave, Rig, until
from tests.servers.process import free_port

__all__ = [
    "BrowseRig",
    "Listener",
    "Popper",
    "RedisRig",
    "StreamRig",
    "TakeRig",
    "Worker",
    "until_lost",
]


class Listener:
    """A plain subscriber of somebody else."""

    def __init__(self, server: Server, channel: str) -> None:
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

    def __init__(self, server: Server) -> None:
        self.server = server
        self.broker_name = server.title
        self.proxied_port = server.port
        self.installation = uuid4().hex[:8]
        self.destination = self.target = f"orders.{uuid4().hex}"
        self.config = server.config(patterns=[self.destination])
        self._keys: list[str] = []
        self.bad_settings = {
            "host": BadSetting(self.changed(host="no-such.invalid"), "resolve", "resolve"),
            "port": BadSetting(self._elsewhere(), "connect", "Nothing listens"),
            "password": BadSetting(
                self.changed(user="nobody", password=SecretStr("hunter2-wrong")),
                "authenticate",
                "refused the name or the password",
            ),
        }
        if isinstance(server, RedisServer):
            self.bad_settings |= self._bad_here(server)

    def changed(self, **changes: object) -> RedisPubSubConfig:
        return self.config.model_copy(update=changes)

    def _elsewhere(self) -> RedisPubSubConfig:
        return self.changed(host="127.0.0.1", port=free_port(), tls=False)

    def _bad_here(self, server: RedisServer) -> dict[str, BadSetting]:
        """What is wrong on a server without a password, and one with a port that speaks TLS."""
        bad = {
            "a password where none is": BadSetting(
                self.changed(password=SecretStr("hunter2-none")),
                "authenticate",
                "Leave the password empty",
            ),
            "TLS on a plain port": BadSetting(self.changed(tls=True), "tls", "without TLS"),
        }
        if server.tls_port is not None:
            secured = self.changed(port=server.tls_port)
            nobody = self.changed(port=server.tls_port, tls=True)
            bad |= {
                "no TLS on a TLS port": BadSetting(secured, "authenticate", "speaks TLS"),
                "a certificate that nobody signed": BadSetting(nobody, "tls", "not trusted"),
            }
        return bad

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
        self.config = self.changed(streams=[*self.config.streams, name])
        return name

    def bury(self, payloads: list[bytes]) -> Grave:
        """As a consumer does that gives up after three attempts."""
        name = f"{self.destination}.dead-letters"
        told = {"origin": self.destination, "reason": "no such article", "attempts": 3}
        with self.server.client() as client:
            for payload in payloads:
                client.xadd(name, {**told, "payload": payload})
        self._keys.append(name)
        self.config = self.changed(dead_letters=[name])
        return Grave(name, self.destination, "no such article", 3)

    def through(self, port: int) -> RedisPubSubConfig | None:
        # The proxy passes on to this machine, and a certificate is for the server's own name.
        local = self.server.host in ("127.0.0.1", "localhost") and not self.server.tls
        return self.changed(host="127.0.0.1", port=port) if local else None

    def remove(self) -> None:
        with self.server.client() as client:
            ours = list(client.scan_iter(f"eventhub:{self.installation}:*", count=1_000))
            client.delete(*self._keys, *ours, b"")

    def abandon(self, consumer: Consumer) -> None:
        consumer.close()  # there is no other way to leave a Redis server

    def restart(self) -> None:
        if not isinstance(self.server, RedisServer):
            pytest.skip("the server that EVENTHUB_TEST_REDIS_PUBSUB names is not ours to restart")
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


class StreamRig(RedisRig):
    """A stream, read as a log."""

    carries = frozenset({"headers"})
    header_values: Mapping[str, Any] = {"text": "Grüße", "bytes": b"\xff\0"}
    keeps_while_away = True

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._keys.append(self.destination)
        self.config = self.changed(mode="log", streams=[self.destination], patterns=[])
        other = f"{self.destination}.text"
        with server.client() as client:
            client.set(other, "no stream")
        self._keys.append(other)
        wrong = self.changed(streams=[other])
        self.bad_settings = {
            "port": BadSetting(self._elsewhere(), "connect", "Nothing listens"),
            "no stream": BadSetting(wrong, "permissions", "WRONGTYPE"),
        }

    def flood(self, payloads: list[bytes]) -> None:
        with self.server.client() as client, client.pipeline(transaction=False) as pipeline:
            for payload in payloads:
                pipeline.xadd(self.destination, {"payload": payload})
            pipeline.execute()

    @contextmanager
    def bystander(self) -> Iterator["Worker"]:  # type: ignore[override]
        yield Worker(self.server, self.destination)


class Worker:
    """A consumer group of somebody else, that reads and acknowledges when it is asked."""

    def __init__(self, server: Server, stream: str) -> None:
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


class BrowseRig(RedisRig):
    """A list that a queue is kept in, looked into."""

    keeps_while_away = True
    mode_name = "browse"

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._keys.append(self.destination)
        self.config = self.changed(
            mode=self.mode_name, lists=[self.destination], patterns=[], browse_seconds=0.1
        )
        other = f"{self.destination}.text"
        with server.client() as client:
            client.set(other, "no list")
        self._keys.append(other)
        wrong = self.changed(lists=[other])
        self.bad_settings = {
            "port": BadSetting(self._elsewhere(), "connect", "Nothing listens"),
            "no list": BadSetting(wrong, "permissions", "WRONGTYPE"),
        }

    def flood(self, payloads: list[bytes]) -> None:
        with self.server.client() as client, client.pipeline(transaction=False) as pipeline:
            for payload in payloads:
                pipeline.lpush(self.destination, payload)
            pipeline.execute()

    def fill(self, count: int) -> str:
        name = f"jobs.{uuid4().hex}"
        with self.server.client() as client:
            client.lpush(name, *range(count))
        self._keys.append(name)
        self.config = self.changed(lists=[*self.config.lists, name])
        return name

    @contextmanager
    def bystander(self) -> Iterator["Popper"]:  # type: ignore[override]
        yield Popper(self.server, self.destination)


class TakeRig(BrowseRig):
    """A list that is consumed."""

    mode_name = "consume"


class Popper:
    """A consumer of somebody else, that takes all there is when it is asked."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        self._got: list[bytes] = []

    def received(self) -> list[bytes]:
        with self._server.client() as client:
            while (element := client.rpop(self._name)) is not None:
                self._got.append(element)
        return list(self._got)

    def facts(self) -> Mapping[str, object]:
        with self._server.client() as client:
            return {"waiting": client.llen(self._name)}


def until_lost(consumer: Consumer) -> tuple[list[Delivery], dict[str, str]]:
    """What came before the connection was lost, and the checkpoint to store."""
    deliveries: list[Delivery] = []
    checkpoint: dict[str, str] = {}
    deadline = time.monotonic() + 20
    with suppress(NotConnected):
        while time.monotonic() < deadline:
            received = consumer.receive(1_000, 0.2)
            deliveries += received.deliveries
            checkpoint |= received.checkpoint
        pytest.fail("the loss was not noticed")
    return deliveries, checkpoint
