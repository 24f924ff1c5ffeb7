"""The connection test: one step after the other, each with its own words, within five seconds."""

import socket
import time
from collections.abc import Iterator
from typing import Final

from collectors.kafka.config import KafkaConfig
from collectors.kafka.connection import Admin, Cluster
from collectors.kafka.problems import ADVERTISED, NotReachable, no_topic, some
from collectors.kafka.tls import handshake
from collectors.kafka.topics import Chosen, describe
from eventhub.brokers.addresses import check_address
from eventhub.brokers.contract import Step
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket, speaks_tls
from eventhub.brokers.steps import Act, Warned, taken

__all__ = ["check_connection"]

SECONDS: Final = 4.5
_RESERVE: Final = 1.0
"""Seconds kept for what follows a step, and for the probe that tells why it failed."""
_SHOWN: Final = 5


def check_connection(config: KafkaConfig) -> Iterator[Step]:
    """Steps as they finish; the first failed one is the last. Never raises."""
    check = _Check(config)
    try:
        yield from taken(check.steps())
    finally:
        check.close()


class _Check:
    """What one step leaves for the next. Each returns words or raises a BrokerError."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._deadline = time.monotonic() + SECONDS
        self._hosts: dict[tuple[str, int], list[str]] = {}
        self._socket: socket.socket | None = None
        self._host = ""
        self._found: Cluster | None = None
        self._not_reachable: NotReachable | None = None

    def steps(self) -> Iterator[tuple[str, Act]]:
        yield "resolve", self.resolve
        yield "connect", self.connect
        if self._config.tls:
            yield "tls", self.tls
        yield "authenticate", self.authenticate
        yield "brokers", self.brokers
        yield "permissions", self.permissions

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _left(self) -> float:
        return max(0.1, self._deadline - _RESERVE - time.monotonic())

    def resolve(self) -> str:
        problems: list[NotConnected] = []
        hosts = self._config.hosts()
        for number, (host, port) in enumerate(hosts):
            try:
                share = self._left() / 2 / (len(hosts) - number)
                self._hosts[host, port] = check_address(host, port, share)
            except NotConnected as problem:
                problems.append(problem)
        if not self._hosts:
            raise problems[0]
        words = "; ".join(
            f"{host} is {', '.join(ips) if ips != [host] else 'an address'}"
            for (host, _), ips in self._hosts.items()
        )
        if problems:
            raise Warned(f"{words}. {problems[0]}", way_out=problems[0].way_out)
        return f"{words}."

    def connect(self) -> str:
        """The first of the bootstrap servers that takes a connection."""
        problem: NotConnected | None = None
        for number, ((host, port), addresses) in enumerate(self._hosts.items()):
            share = self._left() / 2 / (len(self._hosts) - number)
            try:
                self._socket = open_socket(host, port, addresses, share)
            except NotConnected as error:
                problem = problem or error
            else:
                self._host = host
                return f"{host}:{port} accepts connections."
        assert problem is not None
        raise problem

    def tls(self) -> str:
        assert self._socket is not None
        self._socket.settimeout(self._left() / 2)
        self._socket = secured = handshake(self._config, self._socket, self._host)
        return f"{secured.version()}, and the certificate is trusted."

    def authenticate(self) -> str:
        try:
            self._admin = Admin(self._config, "eventhub-check")
            self._found = self._admin.cluster(self._left())
        except NotReachable as error:
            self._not_reachable = error
            return "The bootstrap server answers."
        except NotConnected as error:
            if self._speaks_tls():
                raise PermanentFailure(
                    "This port speaks TLS, and the source does not.",
                    way_out="Turn TLS on, or give the port of a listener without TLS.",
                ) from error
            raise
        who = self._config.user or self._config.client_id
        served = f"Signed in as {who}." if who else "Served."
        return f"{served} The cluster has {_count(len(self._found.brokers), 'broker')}."

    def brokers(self) -> str:
        """Whether the addresses that the brokers advertise can be used from here."""
        if self._not_reachable is not None:
            raise self._not_reachable
        assert self._found is not None
        brokers = sorted(self._found.brokers)[:_SHOWN]
        problems = []
        for number, broker in enumerate(brokers):
            seconds = max(0.1, (self._left() - 0.5) / (len(brokers) - number))
            try:
                addresses = check_address(broker.host, broker.port, seconds)
                open_socket(broker.host, broker.port, addresses, seconds).close()
            except BrokerError as problem:
                words = f"Broker {broker.id} tells clients to come to {broker.host}:{broker.port}."
                problems.append(f"{words} {problem}")
        if len(problems) == len(brokers):
            raise PermanentFailure(problems[0], way_out=ADVERTISED)
        if problems:
            raise Warned(problems[0], way_out=ADVERTISED)
        return f"{_count(len(brokers), 'advertised address', 'es')} can be reached."

    def permissions(self) -> str:
        assert self._found is not None
        chosen = Chosen(self._config.topics)
        names = chosen.among([*chosen.names, *self._found.topics])
        topics, hidden = describe(self._admin, names, operations=True, seconds=self._left())
        forbidden = [*hidden, *(topic.name for topic in topics.values() if not topic.readable)]
        if forbidden:
            raise PermanentFailure(
                f"The user may not read {some(forbidden)}.",
                way_out=self._grant(forbidden[0]),
            )
        missing = sorted(set(names) - set(topics))
        if missing and not topics:
            raise no_topic(missing)
        if not self._config.topics:
            return "The cluster can be read; no topic is chosen yet."
        if missing or not topics:
            raise Warned(
                f"There is no topic {some(missing or chosen.patterns)} yet.",
                way_out="It is observed from its beginning once it is there.",
            )
        return f"May read {_count(len(topics), 'topic')}."

    def _grant(self, topic: str) -> str:
        return (
            f"kafka-acls.sh --bootstrap-server {self._config.bootstrap_servers[0]} --add"
            f" --allow-principal User:{self._config.user or 'NAME'}"
            f" --operation Read --operation Describe --topic {topic}"
        )

    def _speaks_tls(self) -> bool:
        if self._config.tls:
            return False
        (host, port), addresses = next(iter(self._hosts.items()))
        seconds = max(0.3, self._deadline - time.monotonic() - 0.2)
        return speaks_tls(host, port, addresses, seconds)


def _count(number: int, thing: str, plural: str = "s") -> str:
    return f"{number} {thing}{'' if number == 1 else plural}"
