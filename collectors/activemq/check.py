"""The connection test: one step after the other, each in its own words, within five seconds."""

import socket
import time
from collections.abc import Iterator
from typing import Final

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import wrap_tls
from collectors.activemq.estate import survey
from collectors.activemq.feed import Feed
from collectors.activemq.feeds import sign_in
from collectors.activemq.jolokia import Jolokia, Unreadable
from eventhub.brokers.addresses import check_address
from eventhub.brokers.contract import Step
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket, speaks_tls
from eventhub.brokers.steps import Act, Warned, taken

__all__ = ["check_connection"]

_SECONDS: Final = 3.2
"""For all steps but the last; the look why TLS failed and Jolokia have what is left of 5 s."""
_PROBE_SECONDS: Final = 0.4
_JOLOKIA_SECONDS: Final = 1.0
_VERBS: Final = {"tap": "subscribe to", "browse": "look into", "consume": "consume"}


def check_connection(config: ActiveMQConfig) -> Iterator[Step]:
    """Steps as they finish; the first failed one is the last. Never raises."""
    check = _Check(config)
    try:
        yield from taken(check.steps())
    finally:
        check.close()


class _Check:
    """What one step leaves for the next. Each returns words or raises a BrokerError."""

    def __init__(self, config: ActiveMQConfig) -> None:
        self._config = config
        self._deadline = time.monotonic() + _SECONDS
        self._addresses: list[str] = []
        self._socket: socket.socket | None = None
        self._feed: Feed | None = None

    def steps(self) -> Iterator[tuple[str, Act]]:
        yield "resolve", self.resolve
        yield "connect", self.connect
        if self._config.tls:
            yield "tls", self.tls
        yield "authenticate", self.authenticate
        yield "permissions", self.permissions
        yield "jolokia", self.jolokia

    def resolve(self) -> str:
        config = self._config
        self._addresses = check_address(config.host, config.real_port(), self._left())
        if self._addresses == [config.host]:
            return f"{config.host} is an address."
        return f"{config.host} is {', '.join(self._addresses)}."

    def connect(self) -> str:
        self._socket = open_socket(
            self._config.host, self._config.real_port(), self._addresses, self._left()
        )
        return f"{self._config.address()} accepts connections."

    def tls(self) -> str:
        assert self._socket is not None
        secured = wrap_tls(self._socket, self._config, self._deadline)
        self._socket = secured
        return f"{secured.version()}, and the certificate is trusted."

    def authenticate(self) -> str:
        assert self._socket is not None
        try:
            self._feed = sign_in(self._config, self._socket, "check", self._deadline)
        except NotConnected as error:
            if not self._config.tls and self._speaks_tls():
                raise PermanentFailure(
                    "This port speaks TLS, and the source does not.",
                    way_out="Turn TLS on, or give the port without TLS.",
                ) from error
            raise
        who = self._config.user or "an anonymous client"
        return f"Signed in as {who} over {self._config.protocol.upper()}."

    def permissions(self) -> str:
        """Subscribes or looks for a moment: the only test that cannot be wrong."""
        assert self._feed is not None
        names = self._config.names()
        self._feed.probe(names, self._left())
        if not names:
            return "No destination is chosen yet."
        return f"May {_VERBS[self._config.mode]} {', '.join(name.words for name in names[:5])}" + (
            "." if len(names) <= 5 else f" and {len(names) - 5} more."
        )

    def jolokia(self) -> str:
        config = self._config
        try:
            count = len(survey(config, Jolokia(config, timeout=_JOLOKIA_SECONDS)))
        except (Unreadable, BrokerError) as problem:
            raise Warned(
                f"Jolokia at {config.jolokia()} cannot be read. {problem} EventHub observes without"
                " it, but knows no depths and cannot list destinations"
                + (", and not where a dead letter died." if config.classic else "."),
                way_out="Correct the Jolokia URL; the user needs the web console's role `user`"
                " (Classic) or one of HAWTIO_ROLES with `view` permissions (Artemis).",
            ) from problem
        return f"Jolokia shows {count} topics and queues."

    def close(self) -> None:
        if self._feed is not None:
            self._feed.sever()
        if self._socket is not None:
            self._socket.close()

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.05)

    def _speaks_tls(self) -> bool:
        config = self._config
        return speaks_tls(config.host, config.real_port(), self._addresses, _PROBE_SECONDS)
