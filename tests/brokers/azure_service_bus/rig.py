"""A namespace with a topic, its consumers' subscription and a queue of one test's own."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from azure.servicebus import ServiceBusClient, ServiceBusMessage
from pydantic import SecretStr

from collectors.azure_service_bus import AzureServiceBus, AzureServiceBusConfig
from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.administration import Administration, Found
from collectors.azure_service_bus.consumer import Consumer as OurConsumer
from eventhub.brokers.contract import Consumer, Message
from eventhub.events.headers import HeaderValue
from tests.brokers.azure_service_bus.server import ServiceBus
from tests.contracts.broker import BadSetting, Grave, Rig, until
from tests.servers.process import free_port

__all__ = ["Namespace", "ServiceBusRig", "Worker"]

LOCK_SECONDS = 5
"""The least that Service Bus allows: what a crashed collector held comes back after it."""
HEADER_VALUES: dict[str, HeaderValue] = {
    "none": None,
    "yes": True,
    "whole": 7,
    "large": -(2**63),
    "real": 0.1,
    "text": "Grüße",
    "long text": "x" * 1_000,
    "bytes": b"\xff\0",
    "bytes that are text": b"text",
    "decimal": Decimal("-12345678901234567890.25"),
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
}


class Namespace:
    """What somebody else does in the namespace: entities, messages, counts."""

    def __init__(self, server: ServiceBus) -> None:
        self.server = server
        self.config = AzureServiceBusConfig(
            connection_string=SecretStr(server.connection_string()),
            administration_url=server.administration_url,
        )
        self.api = Administration(access(self.config))
        self._client = self.client()
        self._senders: dict[str, Any] = {}

    def close(self) -> None:
        self._client.close()
        self.api.close()

    def client(self, **settings: Any) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(self.server.connection_string(), **settings)

    def create(self, path: str, **fields: str) -> None:
        """A queue, `topic:name`, or `topic/Subscriptions/name`; fields as the API has them."""
        kind, name = "Queue", path
        if path.startswith("topic:"):
            kind, name = "Topic", path.removeprefix("topic:")
        elif "/Subscriptions/" in path:
            kind, name = "Subscription", path.replace("/Subscriptions/", "/subscriptions/")
        inner = "".join(f"<{field}>{escape(text)}</{field}>" for field, text in fields.items())
        self._put(name, f"{kind}Description", inner)

    def add_rule(self, path: str, rule: str, kind: str, inner: str) -> None:
        name = path.replace("/Subscriptions/", "/subscriptions/")
        found = f'<Filter xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="{kind}">'
        self._put(f"{name}/rules/{rule}", "RuleDescription", f"{found}{inner}</Filter>")

    def delete(self, path: str) -> None:
        name = path.replace("/Subscriptions/", "/subscriptions/")
        self.api._call("DELETE", f"{name}?api-version=2021-05")

    def send(self, target: str, *messages: ServiceBusMessage) -> None:
        if target not in self._senders:
            # keep_alive: closing waits a second for the thread that it would start
            self._senders[target] = self._client.get_queue_sender(target, keep_alive=0)
        sender = self._senders[target]
        batch = sender.create_message_batch()
        for message in messages:
            try:
                batch.add_message(message)
            except ValueError:
                sender.send_messages(batch)
                batch = sender.create_message_batch()
                batch.add_message(message)
        sender.send_messages(batch)

    def subscription(self, topic: str, name: str) -> Found:
        return self.api.subscription(topic, name)

    def _put(self, path: str, kind: str, inner: str) -> None:
        connect = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
        body = (
            '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
            f'<{kind} xmlns="{connect}">{inner}</{kind}></content></entry>'
        )
        self.api._call("PUT", f"{path}?api-version=2021-05", body.encode())


class Worker:
    """Somebody else's consumer of a subscription of its own, completing each message."""

    def __init__(self, namespace: Namespace, topic: str) -> None:
        self._namespace = namespace
        self._topic = topic
        self._got: list[bytes] = []
        self._stop = threading.Event()
        namespace.create(f"{topic}/Subscriptions/worker")
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def received(self) -> list[bytes]:
        return list(self._got)

    def facts(self) -> Mapping[str, object]:
        """Completing comes a moment after receiving."""
        with contextlib.suppress(AssertionError):
            until(lambda: self._counts().active == 0, "the worker has completed all")
        counts = self._counts()
        return {"waiting": counts.active, "dead": counts.dead}

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._namespace.delete(f"{self._topic}/Subscriptions/worker")

    def _counts(self) -> Any:
        return self._namespace.subscription(self._topic, "worker").counts

    def _work(self) -> None:
        with (
            self._namespace.client() as client,
            client.get_subscription_receiver(
                self._topic, "worker", prefetch_count=50, keep_alive=0
            ) as receiver,
        ):
            while not self._stop.is_set():
                for message in receiver.receive_messages(50, max_wait_time=0.2):
                    again = b"again " if message.delivery_count else b""
                    self._got.append(again + b"".join(message.body))
                    receiver.complete_message(message)


class ServiceBusRig(Rig):
    adapter = AzureServiceBus()
    carries = frozenset(Message.__struct_fields__) - {"payload"}
    header_values = HEADER_VALUES
    keeps_while_away = True
    too_large = 7 * 1024 * 1024

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.server = namespace.server
        self.broker_name = self.server.name
        self.proxied_port = self.server.port
        self.installation = uuid4().hex[:8]
        self.destination = self.target = f"orders.{self.installation}"
        self.missing_target = f"{self.destination}-missing"
        self.config = self.config_with(topics=[self.destination])
        self._queues: list[str] = []
        namespace.create(f"topic:{self.destination}")
        self.bad_settings = self._bad_settings() if self.server.is_stand_in else {}

    def config_with(self, **changes: Any) -> AzureServiceBusConfig:
        plain, secret_values = self.namespace.config.split()
        changes = {"lock_seconds": LOCK_SECONDS, "topics": [self.destination], **changes}
        return AzureServiceBusConfig.model_validate({**plain, **secret_values, **changes})

    def fill(self, count: int) -> str:
        queue = self.queue()
        self.namespace.send(queue, *[ServiceBusMessage(b"%d" % n) for n in range(count)])
        return queue

    def queue(self, **fields: str) -> str:
        """A queue of this test's own."""
        name = f"queue.{uuid4().hex[:8]}"
        self._queues.append(name)
        self.namespace.create(name, **fields)
        return name

    def bury(self, payloads: list[bytes]) -> Grave:
        """Gives each of them up twice, which is as often as its subscription delivers."""
        path = f"{self.destination}/Subscriptions/billing"
        self.namespace.create(path, LockDuration="PT5S", MaxDeliveryCount="2")
        self.flood(payloads)
        with (
            self.namespace.client() as client,
            client.get_subscription_receiver(
                self.destination, "billing", prefetch_count=1, keep_alive=0
            ) as receiver,
        ):
            # One at a time to its end, so that they die in their order.
            for _ in range(2 * len(payloads)):
                [message] = receiver.receive_messages(1, max_wait_time=20)
                receiver.abandon_message(message)
        return Grave(
            f"{path}/$DeadLetterQueue", self.destination, "MaxDeliveryCountExceeded", attempts=2
        )

    def through(self, port: int) -> AzureServiceBusConfig | None:
        if not self.server.is_stand_in:
            return None
        return self.config_with(connection_string=self.server.connection_string(port=port))

    def flood(self, payloads: list[bytes]) -> None:
        self.namespace.send(self.target, *[ServiceBusMessage(payload) for payload in payloads])

    def abandon(self, consumer: Consumer) -> None:
        assert isinstance(consumer, OurConsumer)
        for reader in consumer._readers:
            reader.sever()
        consumer.close()

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    @contextmanager
    def bystander(self) -> Iterator[Worker]:
        worker = Worker(self.namespace, self.destination)
        yield worker
        worker.stop()

    def traces(self) -> set[str]:
        return {
            each.name
            for each in self.namespace.api.subscriptions(self.destination)
            if each.name.startswith("eventhub")
        }

    def remove(self) -> None:
        for path in (self.destination, *self._queues):
            self.namespace.delete(path)

    def _bad_settings(self) -> dict[str, BadSetting]:
        with_key = self.server.connection_string
        elsewhere = with_key().replace("localhost", "no-such-host.invalid")
        http = with_key(port=self.server.http_port)
        bad: dict[str, tuple[dict[str, Any], str, str]] = {
            "host": ({"connection_string": elsewhere}, "resolve", "cannot be resolved"),
            "no connection string": (
                {"connection_string": "Endpoint=sb://localhost"}, "resolve", "Endpoint=sb://",
            ),
            "port": (
                {"connection_string": with_key(port=free_port())}, "connect", "Nothing listens",
            ),
            "not AMQP": ({"connection_string": http}, "connect", "no answer in AMQP"),
            "key": (
                {"connection_string": with_key(secret="wrong-secret")}, "authenticate", "refused",
            ),
            "key's name": (
                {"connection_string": with_key(key="no-such-policy")}, "authenticate", "policy",
            ),
            "topic": ({"topics": ["orders.none"]}, "permissions", "no topic 'orders.none'"),
            "no right to make a tap": (
                {"connection_string": with_key("listen", "listen-secret")},
                "permissions", "Manage",
            ),
            "no right to listen": (
                {
                    "connection_string": with_key("send", "send-secret"),
                    "subscription": "prepared", "topics": [self.destination],
                },
                "permissions", "Listen",
            ),
            "queue": ({"mode": "browse", "entities": ["nothing"]}, "permissions", "no nothing"),
        }  # fmt: skip
        return {
            name: BadSetting(self.config_with(**changes), step, words)
            for name, (changes, step, words) in bad.items()
        }
