"""The connection test: one step after the other, each in its own words, within five seconds."""

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Final

from collectors.azure_service_bus.access import Access, access
from collectors.azure_service_bus.administration import Administration
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.peeks import Peeks
from collectors.azure_service_bus.sdk import signing_in
from collectors.azure_service_bus.tap import PROBE, ensure, remove
from eventhub.brokers.addresses import check_address
from eventhub.brokers.certificates import not_accepted
from eventhub.brokers.contract import Step
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket
from eventhub.brokers.steps import Act, Warned, taken

__all__ = ["check_connection"]

SECONDS: Final = 4.7
_CONNECT_SECONDS: Final = 1.5
_HANDSHAKE_SECONDS: Final = 2.0
_LEAST_SECONDS: Final = 0.2
_SECONDS_FOR_ONE: Final = 2.0
_AMQP_SASL: Final = b"AMQP\x03\x01\x00\x00"


def check_connection(config: AzureServiceBusConfig) -> Iterator[Step]:
    """Steps as they finish; the first failed one is the last. Never raises; 5 s at most."""
    check = _Check(config)
    try:
        yield from taken(check.steps())
    finally:
        check.close()


class _Check:
    """What one step leaves for the next. Each returns words, empty for none, or raises."""

    def __init__(self, config: AzureServiceBusConfig) -> None:
        self._config = config
        self._deadline = time.monotonic() + SECONDS
        self._access: Access | None = None
        self._socket: socket.socket | None = None
        self._peeks: list[Peeks] = []

    def steps(self) -> Iterator[tuple[str, Act]]:
        yield "resolve", self.resolve
        yield "connect", self.connect
        yield "tls", self.tls
        yield "authenticate", self.authenticate
        yield "permissions", self.permissions
        yield "administration", self.administration

    def resolve(self) -> str:
        self._access = reached = access(self._config)
        self._addresses = check_address(reached.host, reached.port, self._left(_CONNECT_SECONDS))
        return f"{reached.host} is {', '.join(self._addresses)}."

    def connect(self) -> str:
        reached = self._reached
        seconds = self._left(_CONNECT_SECONDS)
        self._socket = open_socket(reached.host, reached.port, self._addresses, seconds)
        self._socket.settimeout(self._left(_HANDSHAKE_SECONDS))
        if not reached.tls:
            _speaks_amqp(self._socket, reached)
        return f"Port {reached.port} takes connections."

    def tls(self) -> str:
        reached, sock = self._reached, self._socket
        assert sock is not None
        if not reached.tls:
            return ""
        self._socket = secured = _secured(sock, reached)
        _speaks_amqp(secured, reached)
        return f"{secured.version()}, and the certificate is trusted."

    def authenticate(self) -> str:
        """With a token for what is observed: a key may be of one entity only."""
        names = self._config.topics if self._config.mode == "tap" else self._config.entities
        entity = Entity.parse(names[0]) if names else Entity("")
        with signing_in(self._reached):
            self._open(entity)
        return f"Service Bus took the token ({self._config.authentication})."

    def permissions(self) -> str:
        config = self._config
        if config.mode == "tap" and not config.subscription:
            return self._each(config.topics, self._may_tap, "May make a tap on")
        if config.mode == "tap":
            taps = [Entity(topic, config.subscription).path for topic in config.topics]
            return self._each(taps, self._may_peek, "May read")
        return self._each(config.entities, self._may_peek, "May read")

    def administration(self) -> str:
        administration = Administration(self._reached, seconds=self._left())
        try:
            next(administration.queues(), None)
        except BrokerError as error:
            raise Warned(
                f"{error} EventHub works without it, but knows no depths and lists no entities.",
                way_out=error.way_out or "Check the administration URL.",
            ) from error
        finally:
            administration.close()
        return "The administration API answers."

    def close(self) -> None:
        for peeks in self._peeks:
            peeks.sever()
        if self._socket is not None:
            self._socket.close()

    def _each(self, names: list[str], test: Callable[[str], None], may: str) -> str:
        """As many as there is time for."""
        tested: list[str] = []
        for name in names:
            if tested and self._deadline - time.monotonic() < _SECONDS_FOR_ONE:
                break
            test(name)
            tested.append(name)
        if not names:
            return "Nothing to observe is chosen yet."
        rest = len(names) - len(tested)
        return f"{may} {', '.join(tested)}." + (f" No time to try {rest} more." if rest else "")

    def _may_tap(self, topic: str) -> None:
        """Makes a subscription, reads it, and removes it again: the only test that is right."""
        probe = Entity(topic, f"{PROBE}-{secrets.token_hex(4)}")
        administration = Administration(self._reached, seconds=self._left())
        try:
            ensure(administration, self._config, probe)
            try:
                self._may_peek(probe.path)
            finally:
                remove(administration, probe)
        finally:
            administration.close()

    def _may_peek(self, name: str) -> None:
        self._open(Entity.parse(name)).peek(0, 1, self._left())

    def _open(self, entity: Entity) -> Peeks:
        peeks = Peeks(self._reached, entity)
        self._peeks.append(peeks)
        peeks.open(self._left())
        return peeks

    @property
    def _reached(self) -> Access:
        assert self._access is not None
        return self._access

    def _left(self, most: float = SECONDS) -> float:
        return min(max(self._deadline - time.monotonic(), _LEAST_SECONDS), most)


def _secured(sock: socket.socket, reached: Access) -> ssl.SSLSocket:
    """Raises NotConnected or PermanentFailure."""
    try:
        context = ssl.create_default_context(cafile=reached.config.ca_file or None)
    except OSError as error:
        raise PermanentFailure(
            f"The CA file {reached.config.ca_file!r} cannot be read as certificates.",
            way_out="Give a PEM file that the collectors may read.",
        ) from error
    try:
        return context.wrap_socket(sock, server_hostname=reached.host)
    except ssl.SSLCertVerificationError as error:
        raise not_accepted(error, f"The certificate of {reached.host}") from error
    except OSError as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise NotConnected(
            f"No TLS connection came about: {reason}.",
            way_out="A proxy or firewall may answer instead of Service Bus.",
        ) from error


def _speaks_amqp(sock: socket.socket, reached: Access) -> None:
    """Raises NotConnected where something else listens, or nothing answers."""
    where = f"{reached.host}:{reached.port}"
    try:
        sock.sendall(_AMQP_SASL)
        answer = sock.recv(len(_AMQP_SASL))
    except TimeoutError as error:
        raise NotConnected(
            f"{where} takes the connection, but gives no answer in AMQP.",
            way_out="Check host and port; a firewall may drop what is sent there.",
        ) from error
    except OSError as error:
        raise NotConnected(f"{where} ended the connection: {error}.") from error
    if answer[:4] != _AMQP_SASL[:4]:
        raise NotConnected(
            f"What listens on {where} does not speak AMQP 1.0.",
            way_out="Check host and port.",
        )
