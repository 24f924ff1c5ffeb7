"""One ActiveMQ broker, and on it a topic of this test's own, observed by a tap."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from collectors.activemq import ActiveMQ, ActiveMQConfig
from collectors.activemq.consumer import Consumer as ActiveMQConsumer
from eventhub.brokers.contract import Consumer, Message
from eventhub.events.headers import HeaderValue
from tests.brokers.activemq.others import Listener, flood, give_up, message
from tests.brokers.activemq.server import WATCHER, WATCHER_PASSWORD, ActiveMQServer
from tests.contracts.broker import BadSetting, Grave, Rig, until
from tests.servers.process import free_port

__all__ = ["ActiveMQRig", "Bystander"]

HEADER_VALUES: dict[str, HeaderValue] = {
    "none": None,
    "yes": True,
    "whole": 7,
    "large": -(2**63),
    "real": 0.1,
    "text": "Grüße",
    "long text": "x" * 1_000,
    "bytes": b"\xff\0",
    "time": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
    "list": [1, None, ["two", b"3"]],
    "table": {"a": {"b": None}, "c": []},
}


class Bystander(Listener):
    """A subscriber of somebody else, and what the broker tells of the topic."""

    def __init__(self, server: ActiveMQServer, name: str, waiting: str) -> None:
        super().__init__(server, name)
        self._server = server
        self._waiting = waiting

    def facts(self) -> Mapping[str, object]:
        return {"a queue beside it": depth_of(self._server, self._waiting)}


class ActiveMQRig(Rig):
    adapter: ActiveMQ = ActiveMQ()
    carries = frozenset(Message.__struct_fields__) - {"payload"}
    header_values: Mapping[str, HeaderValue] = HEADER_VALUES
    keeps_while_away = False
    config: ActiveMQConfig

    unreadable = "topic 'secret.work'"
    """What the broker does not let our user observe, in the words of the connection test."""

    def __init__(self, server: ActiveMQServer) -> None:
        self.server = server
        self.broker_name = server.title
        self.proxied_port = server.ports["amqp"]
        self.installation = uuid4().hex[:8]
        self.topic = f"orders.{self.installation}"
        self.destination = self.target = f"topic://{self.topic}"
        self.missing_target = "secret.work" if self.classic else "closed.work"
        if not server.ours:
            self.missing_target = None
        self._queues: list[str] = []
        self._topics = [self.topic]
        create(server, self.topic, topic=True)
        self.config = ActiveMQConfig(
            flavour=server.flavour,
            host=server.host,
            port=server.ports["amqp"],
            user=WATCHER if server.ours else server.user,
            password=SecretStr(WATCHER_PASSWORD if server.ours else server.password),
            jolokia_url=server.jolokia_url,
            destinations=[self.destination],
        )
        self.bad_settings = {
            name: BadSetting(self.config_with(**changes), step, words)
            for name, (changes, step, words) in self._bad().items()
        }

    @property
    def classic(self) -> bool:
        return self.server.flavour == "classic"

    def _bad(self) -> dict[str, tuple[dict[str, Any], str, str]]:
        ports = self.server.ports
        nobody: dict[str, Any] = {"user": "", "password": None}
        tls: dict[str, Any] = {"port": ports["amqps"], "tls": True}
        bad: dict[str, tuple[dict[str, Any], str, str]] = {
            "host": ({"host": "no-such-host.invalid"}, "resolve", "cannot be resolved"),
            "port": ({"port": free_port()}, "connect", "Nothing listens"),
            "password": ({"password": "wrong-secret"}, "authenticate", "with this password"),
            "nobody": (nobody, "authenticate", "anonymous"),
            "another protocol": ({"port": ports["http"]}, "authenticate", "not speak AMQP 1.0"),
            "no TLS on a TLS port": ({"port": ports["amqps"]}, "authenticate", "Turn TLS on"),
            "TLS on a plain port": ({"tls": True}, "tls", "Turn TLS off"),
            "a certificate that nobody signed": (tls, "tls", "not trusted"),
            "no CA file": ({**tls, "ca_file": "/nowhere/ca.pem"}, "tls", "no file"),
            "a topic that is not allowed": (
                {"destinations": ["secret.work"]},
                "permissions",
                f"may not use {self.unreadable}",
            ),
        }
        if not self.server.ours:
            for name, (changes, _, _) in list(bad.items()):
                if changes.get("port") == ports["amqps"] or "destinations" in changes:
                    del bad[name]
        return bad

    def config_with(self, **changes: Any) -> ActiveMQConfig:
        plain, secret_values = self.config.split()
        return ActiveMQConfig.model_validate({**plain, **secret_values, **changes})

    def flood(self, payloads: list[bytes]) -> None:
        flood(self.server, self.target, [message(payload) for payload in payloads])

    def fill(self, count: int) -> str:
        return self.queue("waiting", [b"%d" % n for n in range(count)])

    def queue(self, kind: str, payloads: list[bytes]) -> str:
        """A queue of this test's own with these messages in it."""
        name = f"{kind}.{uuid4().hex[:8]}"
        self._queues.append(name)
        create(self.server, name, topic=False)
        flood(
            self.server,
            name,
            [message(payload, id=f"{name}-{n}") for n, payload in enumerate(payloads)],
        )
        return name

    def bury(self, payloads: list[bytes]) -> Grave:
        """A consumer rejects them; each queue has a dead-letter queue of its own."""
        work = self.queue("individual", payloads)
        give_up(self.server, work, len(payloads))
        grave = f"DLQ.{work}" if self.classic else f"DLA::DLQ.{work}"
        self._queues.append(grave)
        bare = grave.rpartition("::")[2]
        until(lambda: depth_of(self.server, bare) == len(payloads), "all are dead-lettered")
        return Grave(grave, work, None, None)

    def through(self, port: int) -> ActiveMQConfig:
        return self.config.model_copy(update={"port": port})

    def abandon(self, consumer: Consumer) -> None:
        assert isinstance(consumer, ActiveMQConsumer)
        assert consumer._feed is not None
        consumer._feed.sever()
        consumer.close()

    def restart(self) -> None:
        if not self.server.ours:
            pytest.skip("a server that was given is not restarted")
        self.server.kill()
        self.server.start()

    @contextmanager
    def bystander(self) -> Iterator[Bystander]:
        other = Bystander(self.server, self.target, self.queue("beside", [b"1"]))
        try:
            yield other
        finally:
            other.close()

    def traces(self) -> set[str]:
        """Connections of ours; the broker notices a closed one a moment later."""
        with suppress(AssertionError):
            until(lambda: not connections(self.server), "no connection of ours is left")
        return connections(self.server)

    def remove(self) -> None:
        for name in self._topics:
            remove(self.server, name, topic=True)
        for name in self._queues:
            remove(self.server, name, topic=False)


def _broker(server: ActiveMQServer) -> str:
    pattern = (
        "org.apache.activemq:type=Broker,brokerName=*"
        if server.flavour == "classic"
        else "org.apache.activemq.artemis:broker=*"
    )
    [[found]] = server.jolokia({"type": "search", "mbean": pattern})
    return str(found)


def call(server: ActiveMQServer, operation: str, *arguments: object) -> Any:
    [answer] = server.jolokia(
        {
            "type": "exec",
            "mbean": _broker(server),
            "operation": operation,
            "arguments": list(arguments),
        }
    )
    return answer


def create(server: ActiveMQServer, name: str, *, topic: bool) -> None:
    if server.flavour == "classic":
        call(server, f"add{'Topic' if topic else 'Queue'}(java.lang.String)", name)
    elif topic:
        call(server, "createAddress(java.lang.String,java.lang.String)", name, "MULTICAST")
    else:
        call(
            server,
            "createQueue(java.lang.String,java.lang.String,java.lang.String)",
            name,
            name,
            "ANYCAST",
        )


def remove(server: ActiveMQServer, name: str, *, topic: bool) -> None:
    if server.flavour == "classic":
        call(server, f"remove{'Topic' if topic else 'Queue'}(java.lang.String)", name)
    elif topic:
        call(server, "deleteAddress(java.lang.String,boolean)", name, True)
    else:
        call(
            server, "destroyQueue(java.lang.String,boolean,boolean)",
            name.rpartition("::")[2], True, "::" not in name,
        )  # fmt: skip


def depth_of(server: ActiveMQServer, queue: str) -> int | None:
    """Messages in a queue as its own broker counts; None where there is no such queue."""
    if server.flavour == "classic":
        mbean = (
            "org.apache.activemq:type=Broker,brokerName=*,destinationType=Queue,"
            f"destinationName={queue}"
        )
        attribute = "QueueSize"
    else:
        mbean = (
            "org.apache.activemq.artemis:broker=*,component=addresses,address=*,"
            f'subcomponent=queues,routing-type=*,queue="{queue}"'
        )
        attribute = "MessageCount"
    [found] = server.jolokia({"type": "read", "mbean": mbean, "attribute": [attribute]})
    counts = [told[attribute] for told in (found or {}).values()]
    return int(counts[0]) if counts else None


def connections(server: ActiveMQServer) -> set[str]:
    """Client ids of connections that are ours."""
    if server.flavour == "classic":
        pattern = (
            "org.apache.activemq:type=Broker,brokerName=*,connector=clientConnectors,"
            "connectorName=*,connectionViewType=clientId,connectionName=*"
        )
        [found] = server.jolokia({"type": "search", "mbean": pattern})
        names = {name.split("connectionName=")[1].split(",")[0] for name in found}
    else:
        told = call(server, "listConnectionsAsJSON()")
        sessions = call(server, "listAllSessionsAsJSON()")
        names = {part for part in f"{told} {sessions}".split('"') if part.startswith("eventhub-")}
    return {name for name in names if name.startswith("eventhub-")}
