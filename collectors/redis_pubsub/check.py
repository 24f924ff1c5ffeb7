"""The connection test: one step after the other, each in its own words, within five seconds."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connect import sign_in, wrap_tls
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.consumer import subscribe
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes
from eventhub.brokers.addresses import check_address
from eventhub.brokers.contract import Step, Verdict
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["check_connection"]

SECONDS: Final = 4.5
_PROBE_SECONDS: Final = 1.0


def check_connection(config: RedisPubSubConfig) -> Iterator[Step]:
    """Steps as they finish; the first failed one is the last. Never raises."""
    check = _Check(config)
    try:
        for name, act in (
            ("resolve", check.resolve),
            ("connect", check.connect),
            *((("tls", check.tls),) if config.tls else ()),
            ("authenticate", check.authenticate),
            ("permissions", check.permissions),
        ):
            step = _step(name, act)
            yield step
            if step.verdict is Verdict.FAILED:
                return
    finally:
        check.close()


def _step(name: str, act: Callable[[], str]) -> Step:
    started = time.monotonic()
    way_out = ""
    try:
        verdict, words = Verdict.OK, act()
    except BrokerError as error:
        verdict, words, way_out = Verdict.FAILED, str(error), error.way_out
    return Step(name, verdict, words, way_out, round((time.monotonic() - started) * 1000))


class _Check:
    """What one step leaves for the next. Each returns words or raises a BrokerError."""

    def __init__(self, config: RedisPubSubConfig) -> None:
        self._config = config
        # The last second is kept for the probe that tells why TLS failed.
        self._deadline = time.monotonic() + SECONDS - _PROBE_SECONDS
        self._addresses: list[str] = []
        self._socket: socket.socket | None = None
        self._connection: Connection | None = None

    def resolve(self) -> str:
        self._addresses = check_address(
            self._config.host, self._config.port, self._deadline - time.monotonic()
        )
        if self._addresses == [self._config.host]:
            return f"{self._config.host} is an address."
        return f"{self._config.host} is {', '.join(self._addresses)}."

    def connect(self) -> str:
        self._socket = self._open(self._deadline - time.monotonic())
        return f"{self._config.address()} accepts connections."

    def tls(self) -> str:
        assert self._socket is not None
        try:
            secured = wrap_tls(self._socket, self._config, self._deadline)
        except NotConnected as error:
            if self._speaks_plain_redis():
                raise PermanentFailure(
                    "This port speaks Redis without TLS.",
                    way_out="Turn TLS off, or give the port that speaks TLS.",
                ) from error
            raise
        self._socket = secured
        return f"{secured.version()}, and the certificate is trusted."

    def authenticate(self) -> str:
        assert self._socket is not None
        self._connection = Connection(self._socket)
        try:
            sign_in(self._connection, self._config, "eventhub-check", self._deadline)
        except NotConnected as error:
            if not self._config.tls and self._speaks_tls():
                raise PermanentFailure(
                    "This port speaks TLS, and the source does not.",
                    way_out="Turn TLS on, or give the port without TLS.",
                ) from error
            raise
        who = self._config.user or "the default user"
        return f"Signed in as {who}." if self._config.password else f"Served as {who}."

    def permissions(self) -> str:
        """Subscribes for a moment, or reads a stream's last entry: the only test that cannot be
        wrong, and it harms nobody."""
        assert self._connection is not None
        if self._config.mode == "log":
            for name in self._config.streams:
                self._may_read(self._connection, name)
            return f"May read {len(self._config.streams)} stream(s)."
        limit = _output_buffer_limit(self._connection)
        subscribe(self._connection, self._config)
        return f"May subscribe to all that is configured. {limit}"

    def _may_read(self, connection: Connection, name: str) -> None:
        try:
            connection.call("XREVRANGE", channel_bytes(name), "+", "-", "COUNT", "1")
        except hiredis.ReplyError as error:
            raise refusal(error, self._config) from error

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _speaks_plain_redis(self) -> bool:
        with suppress(BrokerError, OSError), self._probe() as sock:
            sock.sendall(b"PING\r\n")
            return sock.recv(1) in (b"+", b"-")
        return False

    def _speaks_tls(self) -> bool:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with suppress(BrokerError, OSError), self._probe() as sock:
            context.wrap_socket(sock, server_hostname=self._config.host).close()
            return True
        return False

    def _open(self, seconds: float) -> socket.socket:
        return open_socket(self._config.host, self._config.port, self._addresses, seconds)

    def _probe(self) -> socket.socket:
        sock = self._open(_PROBE_SECONDS / 2)
        sock.settimeout(_PROBE_SECONDS / 2)
        return sock


def _output_buffer_limit(connection: Connection) -> str:
    """What the server lets a slow subscriber pile up before it drops it, in words."""
    try:
        reply: list[Any] = connection.call("CONFIG", "GET", "client-output-buffer-limit")
        _, _, tail = reply[1].partition(b"pubsub ")
        hard, soft, seconds = (int(text) for text in tail.split()[:3])
    except (hiredis.ReplyError, ValueError, IndexError):
        return "Its output buffer limit is not shown to this user (32 MB unless changed)."
    if not hard and not soft:
        return "The server never drops a slow subscriber (client-output-buffer-limit)."
    return (
        f"The server drops a subscriber that is {_megabytes(hard)} behind, or"
        f" {_megabytes(soft)} for {seconds} s (client-output-buffer-limit); that is a gap."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:.3g} MB"
