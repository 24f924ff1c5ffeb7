"""RabbitMQ keeps the broker contract."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pika
import pytest
from pydantic import SecretStr

from collectors.rabbitmq import RabbitMQ, RabbitMQConfig
from collectors.rabbitmq.consumer import Consumer as RabbitMQConsumer
from collectors.rabbitmq.reader import Reader
from eventhub.brokers.contract import Consumer, Message, StartFrom
from eventhub.brokers.errors import NotConnected
from eventhub.events.headers import HeaderValue
from tests.brokers.rabbitmq.server import RabbitMQServer, own
from tests.contracts.broker import (
    BadSetting,
    BrokerContract,
    Bystander,
    Grave,
    Rig,
    opened,
    receive_batch,
    until,
)
from tests.servers.process import free_port

HEADER_VALUES: dict[str, HeaderValue] = {
    "none": None,
    "yes": True,
    "whole": 7,
    "large": -(2**63),
    "real": 0.1,
    "text": "Grüße",
    "long text": "x" * 1_000,
    "bytes": b"\xff\0",
    "decimal": Decimal("-1.25"),
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "list": [1, None, ["two", b"3"]],
    "table": {"a": {"b": None}, "c": []},
}


class QueueBystander:
    """Consumes from a work queue of its own, in a thread, acknowledging each message."""

    def __init__(self, server: RabbitMQServer, exchange: str) -> None:
        self.queue = f"work.{exchange}"
        self._got: list[bytes] = []
        self._connection = pika.BlockingConnection(pika.URLParameters(server.url))
        self._channel = self._connection.channel()
        self._channel.queue_declare(self.queue, durable=True)
        self._channel.queue_bind(self.queue, exchange, "#")
        self._channel.basic_consume(self.queue, self._take)
        self._looking = pika.BlockingConnection(pika.URLParameters(server.url))
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)
        self._thread.start()

    def received(self) -> list[bytes]:
        return list(self._got)

    def facts(self) -> Mapping[str, object]:
        channel = self._looking.channel()
        found = channel.queue_declare(self.queue, passive=True).method
        channel.close()
        return {"consumers": found.consumer_count, "waiting": found.message_count}

    def stop(self) -> None:
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(10)
        self._channel.queue_delete(self.queue)
        self._connection.close()
        self._looking.close()

    def _take(self, channel: Any, method: Any, _: object, body: bytes) -> None:
        self._got.append(body if not method.redelivered else b"again " + body)
        channel.basic_ack(method.delivery_tag)


class RabbitMQRig(Rig):
    adapter = RabbitMQ()
    carries = frozenset(Message.__struct_fields__) - {"payload"}
    header_values = HEADER_VALUES
    keeps_while_away = True

    def __init__(self, server: RabbitMQServer) -> None:
        self.server = server
        self.broker_name = f"RabbitMQ {server.version}"
        self.proxied_port = server.port
        self.installation = uuid4().hex[:8]
        self.exchange = self.destination = self.target = f"orders.{self.installation}"
        self.missing_target = f"{self.destination}-missing/key"
        self.config = RabbitMQConfig(
            host=server.host,
            port=server.port,
            user="watcher",
            password=SecretStr("watcher's secret"),
            management_url=server.management_url,
            exchanges=[self.destination],
        )
        ours = r"^(eventhub\.tap\.|orders\.)"
        server.add_user(
            "watcher",
            "watcher's secret",
            tags="management",
            configure=r"^eventhub\.tap\.",
            write=rf"{ours}|^amq\.default$",
            read=ours,
        )
        path = f"/exchanges/%2F/{self.destination}"
        server.api("PUT", path, {"type": "topic", "durable": True})
        bad: dict[str, tuple[dict[str, Any], str, str]] = {
            "host": ({"host": "no-such-host.invalid"}, "resolve", "cannot be resolved"),
            "port": ({"port": free_port()}, "connect", "Nothing listens"),
            "not AMQP": ({"port": urlsplit(server.management_url).port}, "connect", "in AMQP"),
            "password": ({"password": "wrong-secret"}, "authenticate", "authenticate_user"),
            "virtual host": ({"virtual_host": "nowhere"}, "virtual host", "list_vhosts"),
            "TLS on a plain port": ({"tls": True}, "TLS", "does not speak TLS"),
            "exchange not allowed": ({"exchanges": ["secret"]}, "permissions", "set_permissions"),
            "exchange": (
                {"exchanges": ["orders.none"]},
                "permissions",
                "no exchange 'orders.none'",
            ),
        }
        self._queues: list[str] = []
        self._flooding: Any = None
        self.bad_settings = {
            name: BadSetting(self.config_with(**changes), step, words)
            for name, (changes, step, words) in bad.items()
        }

    def config_with(self, **changes: Any) -> RabbitMQConfig:
        plain, secret_values = self.config.split()
        return RabbitMQConfig.model_validate({**plain, **secret_values, **changes})

    def flood(self, payloads: list[bytes]) -> None:
        """Confirmed as a whole: the next declare is answered after all were routed. The channel
        stays open: the API may never count what one of a moment published."""
        if self._flooding is None:
            parameters = pika.URLParameters(self.server.url)
            parameters.heartbeat = 0
            self._flooding = pika.BlockingConnection(parameters).channel()
        channel = self._flooding
        persistent = pika.BasicProperties(delivery_mode=2)
        for payload in payloads:
            channel.basic_publish(self.destination, "a.b", payload, persistent)
        channel.exchange_declare(self.destination, passive=True)

    def fill(self, count: int) -> str:
        name = f"orders.waiting.{uuid4().hex[:8]}"
        self.server.api("PUT", f"/queues/%2F/{name}", {"durable": True})
        self._queues.append(name)
        self._send(name, [b"%d" % n for n in range(count)])
        return name

    def delete(self, queue: str) -> None:
        """One that this rig made."""
        self._queues.remove(queue)
        self.server.api("DELETE", f"/queues/%2F/{queue}")

    def bury(self, payloads: list[bytes]) -> Grave:
        """A consumer rejects them; the dead-letter exchange is the default one."""
        work = f"orders.work.{uuid4().hex[:8]}"
        grave = f"{work}.dead"
        limits = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave}
        self._queues += [work, grave]
        self.server.api("PUT", f"/queues/%2F/{grave}", {"durable": True})
        self.server.api("PUT", f"/queues/%2F/{work}", {"durable": True, "arguments": limits})
        self._send(work, payloads)
        connection = pika.BlockingConnection(pika.URLParameters(self.server.url))
        channel = connection.channel()
        for _ in payloads:
            method, _, _ = channel.basic_get(work)
            assert method is not None
            channel.basic_reject(method.delivery_tag, requeue=False)

        def buried() -> bool:
            found = channel.queue_declare(grave, passive=True).method
            return bool(found.message_count == len(payloads))

        until(buried, "all are dead-lettered")
        connection.close()
        return Grave(grave, f"/{work}", "rejected", 1)

    def through(self, port: int) -> RabbitMQConfig | None:
        return self.config_with(port=port) if self.server.host == "127.0.0.1" else None

    def _send(self, queue: str, payloads: list[bytes]) -> None:
        connection = pika.BlockingConnection(pika.URLParameters(self.server.url))
        channel = connection.channel()
        channel.confirm_delivery()
        for payload in payloads:
            channel.basic_publish("", queue, payload, pika.BasicProperties(delivery_mode=2))
        connection.close()

    def abandon(self, consumer: Consumer) -> None:
        assert isinstance(consumer, RabbitMQConsumer | Reader)
        assert consumer._wire is not None
        consumer._wire.sever()
        consumer.close()

    def restart(self) -> None:
        server = own(self.server)
        self._flooding = None
        server.kill()
        server.start()

    @contextmanager
    def bystander(self) -> Iterator[Bystander]:
        other = QueueBystander(self.server, self.destination)
        yield other
        other.stop()

    def traces(self) -> set[str]:
        queues = self.server.api("GET", "/queues/%2F?columns=name")
        return {queue["name"] for queue in queues if queue["name"].startswith("eventhub.")}

    def remove(self) -> None:
        if self._flooding is not None:
            self._flooding.connection.close()
        self.server.api("DELETE", f"/exchanges/%2F/{quote(self.exchange)}")
        for name in [*self.traces(), *self._queues]:
            self.server.api("DELETE", f"/queues/%2F/{quote(name)}")


@pytest.fixture
def rig(rabbitmq: RabbitMQServer) -> Iterator[RabbitMQRig]:
    made = RabbitMQRig(rabbitmq)
    yield made
    made.remove()


class TestRabbitMQ(BrokerContract):
    @pytest.fixture
    def rig(self, rig: RabbitMQRig) -> Rig:
        return rig


class StreamRig(RabbitMQRig):
    """A stream queue, read as a log."""

    def __init__(self, server: RabbitMQServer) -> None:
        super().__init__(server)
        stream = f"orders.log.{self.installation}"
        server.api(
            "PUT",
            f"/queues/%2F/{stream}",
            {"durable": True, "arguments": {"x-queue-type": "stream"}},
        )
        self._queues.append(stream)
        self.destination, self.target = stream, f"/{stream}"
        self.missing_target = f"/{stream}.missing"
        self.config = self.config_with(mode="log", streams=[stream], exchanges=[])
        bad = self.config_with(streams=["orders.none"])
        self.bad_settings = {"stream": BadSetting(bad, "permissions", "orders.none")}
        # RabbitMQ keeps a stream's messages as AMQP 1.0, whose headers are simple values.
        self.header_values = {
            name: HEADER_VALUES[name] for name in ("yes", "whole", "large", "text", "long text")
        }
        # A stream's message has no key but the queue's name.
        self.carries = RabbitMQRig.carries - {"key"}

    def flood(self, payloads: list[bytes]) -> None:
        self._send(self.destination, payloads)

    def restart(self) -> None:
        """The node is asked to stop: killed moments after a stream was declared, RabbitMQ 3.10 can
        forget its only replica for good (2 of 6 times). A stream has a leader some moments after
        its node is up."""
        server = own(self.server)
        server.stop()
        server.start()

        def readable() -> bool:
            try:
                with opened(self):
                    return True
            except NotConnected:
                return False

        until(readable, "the stream has a leader")

    @contextmanager
    def bystander(self) -> Iterator[Bystander]:
        other = StreamBystander(self.server, self.destination)
        yield other
        other.stop()


class StreamBystander:
    """Another reader of the stream, from where it is now."""

    def __init__(self, server: RabbitMQServer, stream: str) -> None:
        self._server, self._stream = server, stream
        self._got: list[bytes] = []
        self._connection = pika.BlockingConnection(pika.URLParameters(server.url))
        self._channel = self._connection.channel()
        self._channel.basic_qos(prefetch_count=100)
        arguments = {"x-stream-offset": "next"}
        self._channel.basic_consume(stream, self._take, arguments=arguments)
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)
        self._thread.start()

    def received(self) -> list[bytes]:
        return list(self._got)

    def facts(self) -> Mapping[str, object]:
        path = f"/queues/%2F/{self._stream}"
        found = self._server.api("GET", f"{path}?columns=policy,arguments,state")
        return dict(found)

    def stop(self) -> None:
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(10)
        self._connection.close()

    def _take(self, channel: Any, method: Any, _: object, body: bytes) -> None:
        self._got.append(body)
        channel.basic_ack(method.delivery_tag)


class TestRabbitMQStream(BrokerContract):
    @pytest.fixture
    def rig(self, rabbitmq: RabbitMQServer) -> Iterator[Rig]:
        made = StreamRig(rabbitmq)
        yield made
        made.remove()

    @pytest.mark.parametrize("start", list(StartFrom))
    def test_a_history_begins_where_it_was_asked_to(self, rig: Rig, start: StartFrom) -> None:
        """AMQP's timestamps are whole seconds, and so is the place in a stream by time."""
        rig.flood([b"old"])
        old = int(time.time())
        until(lambda: int(time.time()) > old + 1, "two seconds pass")
        start_time = int(time.time()) * 1000
        if start is not StartFrom.NOW:
            rig.flood([b"new"])
        with opened(rig, start=start, start_time=start_time) as consumer:
            if start is StartFrom.NOW:
                rig.flood([b"new"])
            got = [each.payload for each in receive_batch(consumer, 1).deliveries]
        assert got == [b"old" if start is StartFrom.EARLIEST else b"new"]


def test_consuming_takes_and_settles(rabbitmq: RabbitMQServer) -> None:
    rig = RabbitMQRig(rabbitmq)
    queue = rig.fill(3)
    rig.config = rig.config_with(mode="consume", queues=[queue], exchanges=[])
    try:
        with opened(rig) as consumer:
            received = receive_batch(consumer, 3)
            assert {each.destination for each in received.deliveries} == {queue}
            assert not any(each.redelivered for each in received.deliveries)
        with opened(rig) as consumer:
            again = receive_batch(consumer, 3)
            assert all(each.redelivered for each in again.deliveries), "it was not settled"
            consumer.settle(again)
        with opened(rig) as consumer:
            assert consumer.receive(10, 0.3).deliveries == []
    finally:
        rig.remove()


def test_a_truncated_stream_is_a_gap(rabbitmq: RabbitMQServer) -> None:
    """As if 40 messages had gone before the first that is kept."""
    rig = StreamRig(rabbitmq)
    rig.flood([b"%d" % n for n in range(3)])
    missing = {rig.destination: "-40"}
    try:
        with opened(rig, checkpoint=missing, last_seen=1_000) as consumer:
            received = receive_batch(consumer, 3)
    finally:
        rig.remove()
    [gap] = received.gaps
    assert (gap.missed, gap.destination, gap.started) == (40, rig.destination, 1_000)
    assert received.checkpoint == {rig.destination: "3"}
