"""The connection test: one step after the other, each with its own words."""

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from pika.exceptions import ChannelClosedByBroker

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import log_in
from collectors.rabbitmq.management import Management, Unreadable
from collectors.rabbitmq.refusals import (
    LoginRefused,
    VirtualHostRefused,
    firehose_off,
    not_readable,
    permission_command,
    who,
)
from collectors.rabbitmq.tap import Tap, bindings
from collectors.rabbitmq.tls import secure
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.addresses import check_address
from eventhub.brokers.contract import Step, Verdict
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["check_connection"]

_RESOLVE_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 1.2
_HANDSHAKE_SECONDS: Final = 1.2
_ANSWER_SECONDS: Final = 0.5
_LEAVE_SECONDS: Final = 0.2
# However far a broker gets before it hangs, these and the API's 1 s add up to less than 5 s.


def check_connection(config: RabbitMQConfig) -> Iterator[Step]:
    """Steps as they finish; the first failed one is the last. Never raises; 5 s at most."""
    run = _Run(config)
    try:
        yield from run.steps()
    except BrokerError as problem:
        yield run.step(run.name, Verdict.FAILED, str(problem), problem.way_out)
    finally:
        run.close()


class _Run:
    def __init__(self, config: RabbitMQConfig) -> None:
        self.name = ""
        self._config = config
        self._started = time.monotonic()
        self._wire: Wire | None = None
        self._close: Callable[[], Any] = lambda: None

    def close(self) -> None:
        self._close()

    def step(self, name: str, verdict: Verdict, words: str, way_out: str = "") -> Step:
        took = round((time.monotonic() - self._started) * 1000)
        self._started = time.monotonic()
        return Step(name, verdict, words, way_out, took)

    def ok(self, words: str) -> Step:
        return self.step(self.name, Verdict.OK, words)

    def steps(self) -> Iterator[Step]:
        config = self._config
        self.name = "resolve"
        addresses = check_address(config.host, config.port, _RESOLVE_SECONDS)
        yield self.ok(f"{config.host} is {', '.join(addresses)}.")
        self.name = "connect"
        sock = open_socket(config.host, config.port, addresses, _CONNECT_SECONDS)
        self._close = sock.close
        yield self.ok(f"Port {config.port} takes connections.")
        if config.tls:
            self.name = "TLS"
            sock.settimeout(_CONNECT_SECONDS)
            sock = secure(config, sock)
            self._close = sock.close
            yield self.ok("The certificate is trusted.")
        self.name = "authenticate"
        yield from self._log_in(sock)
        self.name = "permissions"
        yield from self._permissions()
        self.name = "management"
        yield self._management()
        if config.mode == "firehose":
            self.name = "firehose"
            yield self._firehose()

    def _log_in(self, sock: Any) -> Iterator[Step]:
        config = self._config
        try:
            self._wire = wire = log_in(config, sock, "connection test", _HANDSHAKE_SECONDS)
        except VirtualHostRefused:
            yield self.ok(f"RabbitMQ let {who(config)!r} in.")
            self.name = "virtual host"
            raise
        except LoginRefused:
            raise
        except BrokerError:
            self.name = "connect"
            raise
        wire.patience = _ANSWER_SECONDS
        self._close = lambda: wire.leave(_LEAVE_SECONDS)
        version = (wire.server_properties or {}).get("version", "of an unknown version")
        yield self.ok(f"RabbitMQ {version} let {who(config)!r} in.")
        self.name = "virtual host"
        yield self.ok(f"{config.virtual_host!r} is open to it.")

    def _permissions(self) -> Iterator[Step]:
        """Everything that observing will do, with a queue that is gone again at once."""
        assert self._wire is not None
        if not self._config.taps():
            yield self._queues(self._wire)
            return
        tap = Tap(self._wire, self._config, f"eventhub.tap.probe.{secrets.token_hex(4)}")
        tap.declare()
        try:
            for exchange in dict(bindings(self._config)):  # each once
                # A key that nobody uses: what a fanout exchange copies goes with the probe.
                tap.bind(exchange, tap.name)
            self._read(tap)
        finally:
            tap.delete()
        count = len(self._config.exchanges)
        if self._config.mode == "firehose":
            words = "EventHub may make its queue and bind it to the firehose."
        elif not count:
            words = "EventHub may make its queue; no exchange is chosen yet."
        else:
            words = f"EventHub may make its queue and bind it to {count} exchange(s)."
        yield self.ok(words)

    def _queues(self, wire: Wire) -> Step:
        """Whether they are there. Trying to read one would take its messages."""
        names = self._config.streams if self._config.mode == "log" else self._config.queues
        channel = wire.open_channel()
        for name in names:
            try:
                wire.call(channel.queue_declare, queue=name, passive=True)
            except ChannelClosedByBroker as refusal:
                raise not_readable(self._config, name, refusal) from refusal
        return self.ok(f"{len(names)} queue(s) are there. Whether it may read them shows itself.")

    def _read(self, tap: Tap) -> None:
        assert self._wire is not None
        try:
            self._wire.call(tap.channel.queue_purge, queue=tap.name)
        except ChannelClosedByBroker as refusal:
            tap.channel = self._wire.open_channel()
            raise PermanentFailure(
                f"The user {who(self._config)!r} may not read its own queue.",
                way_out=permission_command(self._config),
            ) from refusal

    def _management(self) -> Step:
        config = self._config
        user = config.management_login()[0]
        try:
            Management(config, timeout=1.0).exchanges()
        except (Unreadable, NotConnected, PermanentFailure) as problem:
            return self.step(
                self.name,
                Verdict.WARNING,
                f"The management API at {config.management()} cannot be read. {problem} EventHub"
                " works without it, but cannot list exchanges, finds no keys of direct exchanges,"
                " and cannot tell how many messages an overflowing tap dropped.",
                "rabbitmq-plugins enable rabbitmq_management; "
                f"rabbitmqctl set_user_tags {user} management"
                if user
                else "Give an API user and his password: the API takes no certificate.",
            )
        return self.ok("The management API answers.")

    def _firehose(self) -> Step:
        try:
            on = Management(self._config, timeout=0.5).tracing()
        except Unreadable:
            on = None
        if on is None:
            return self.step(
                self.name,
                Verdict.WARNING,
                "Only the management API tells whether the firehose is on. Without it EventHub does"
                " not notice when it is off, and nothing comes then.",
                firehose_off(self._config).way_out,
            )
        if not on:
            raise firehose_off(self._config)
        return self.ok(f"The firehose of {self._config.virtual_host!r} is on.")
