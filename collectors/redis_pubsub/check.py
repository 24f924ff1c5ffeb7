"""The connection test: one step after the other, each in its own words, within five seconds."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import hiredis

from collectors.redis_pubsub.config import Endpoint, RedisPubSubConfig
from collectors.redis_pubsub.connect import dial, left, sign_in, wrap_tls
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.nodes import SLOTS, Nodes, ranges
from collectors.redis_pubsub.permissions import may_observe
from collectors.redis_pubsub.probes import PROBE_SECONDS, speaks_plain_redis
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.sentinel import find_master, must_be_master
from eventhub.brokers.addresses import check_address
from eventhub.brokers.contract import Step
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket, speaks_tls
from eventhub.brokers.steps import Act, taken

__all__ = ["check_connection"]

SECONDS: Final = 4.5


def check_connection(config: RedisPubSubConfig) -> Iterator[Step]:
    """Steps as they finish; the first failed one is the last. Never raises."""
    check = _Check(config)
    try:
        yield from taken(check.steps())
    finally:
        check.close()


class _Check:
    """What one step leaves for the next. Each returns words or raises a BrokerError."""

    def __init__(self, config: RedisPubSubConfig) -> None:
        self._config = config
        # The last second is kept for the probe that tells why TLS failed.
        self._deadline = time.monotonic() + SECONDS - PROBE_SECONDS
        self._server = config.entrances()[0]
        self._sentinel: Endpoint | None = None
        self._addresses: list[str] = []
        self._socket: socket.socket | None = None
        self._nodes = Nodes(config, name="eventhub-check")

    def steps(self) -> Iterator[tuple[str, Act]]:
        deployment = self._config.deployment
        if deployment == "sentinel":
            yield "sentinel", self.sentinel
        if deployment == "cluster":
            self._choose_entrance()
        yield "resolve", self.resolve
        yield "connect", self.connect
        if self._config.tls:
            yield "tls", self.tls
        yield "authenticate", self.authenticate
        if deployment == "cluster":
            yield "cluster", self.cluster
        yield "permissions", self.permissions

    def sentinel(self) -> str:
        self._server, self._sentinel = find_master(self._config, left(self._deadline) / 2)
        return (
            f"Sentinel {self._sentinel} answers, and names {self._server} as the master of"
            f" {self._config.master_name!r}."
        )

    def resolve(self) -> str:
        host = self._server.host
        self._addresses = check_address(host, self._server.port, left(self._deadline))
        if self._addresses == [host]:
            return f"{host} is an address."
        return f"{host} is {', '.join(self._addresses)}."

    def connect(self) -> str:
        self._socket = open_socket(*self._server, self._addresses, left(self._deadline))
        return f"{self._server} accepts connections."

    def tls(self) -> str:
        assert self._socket is not None
        try:
            secured = wrap_tls(self._socket, self._config, self._server.host, self._deadline)
        except NotConnected as error:
            if speaks_plain_redis(self._server, self._addresses):
                raise PermanentFailure(
                    "This port speaks Redis without TLS.",
                    way_out="Turn TLS off, or give the port that speaks TLS.",
                ) from error
            raise
        self._socket = secured
        return f"{secured.version()}, and the certificate is trusted."

    def authenticate(self) -> str:
        assert self._socket is not None
        connection = Connection(self._socket)
        try:
            sign_in(connection, self._config, "eventhub-check", self._deadline)
        except NotConnected as error:
            if not self._config.tls and self._speaks_tls():
                raise PermanentFailure(
                    "This port speaks TLS, and the source does not.",
                    way_out="Turn TLS on, or give the port without TLS.",
                ) from error
            raise
        if self._sentinel is not None:
            must_be_master(connection, self._server, self._sentinel)
        self._nodes.adopt(connection, self._server)
        who = self._config.user or "the default user"
        return f"Signed in as {who}." if self._config.password else f"Served as {who}."

    def cluster(self) -> str:
        try:
            found = ranges(self._nodes.any(), self._server.host)
        except hiredis.ReplyError as error:
            raise refusal(error, self._config) from error
        served = sum(each.last - each.first + 1 for each in found)
        if served < SLOTS:
            raise NotConnected(
                f"The cluster serves {served} of its {SLOTS:,} slots.",
                way_out="redis-cli --cluster check shows which are not covered, --cluster fix"
                " mends it.",
            )
        owners = dict.fromkeys(each.owner for each in found)
        for owner in owners:
            dial(self._config, owner, name="eventhub-check", seconds=left(self._deadline)).close()
        return f"{len(owners)} node(s) serve all {SLOTS:,} slots, and each can be reached."

    def permissions(self) -> str:
        return may_observe(self._config, self._nodes)

    def _speaks_tls(self) -> bool:
        return speaks_tls(*self._server, self._addresses, PROBE_SECONDS / 2)

    def close(self) -> None:
        self._nodes.close()
        if self._socket is not None:
            self._socket.close()

    def _choose_entrance(self) -> None:
        """The first of the given nodes that accepts connections; else the first of all."""
        entrances = self._config.entrances()
        for entrance in entrances:
            seconds = left(self._deadline) / (2 * len(entrances))
            with suppress(BrokerError):
                addresses = check_address(*entrance, seconds)
                open_socket(*entrance, addresses, seconds).close()
                self._server = entrance
                return
