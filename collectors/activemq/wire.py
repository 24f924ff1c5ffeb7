"""AMQP 1.0 over a socket of our own: proton's engine, without its event loop.

Proton's Container was tried: it makes several Python objects an event, and it connects by itself,
past the address policy and without our time limits. Here the socket is ours; proton turns bytes
into frames and back, and its state is asked after each read.
"""

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from uuid import uuid4

from cproton import (
    PN_ACCEPTED,
    pn_delivery_aborted,
    pn_delivery_partial,
    pn_delivery_pending,
    pn_delivery_settle,
    pn_delivery_settled,
    pn_delivery_update,
    pn_link_advance,
    pn_link_current,
    pn_link_recv,
    pn_transport_capacity,
    pn_transport_peek,
    pn_transport_pending,
    pn_transport_pop,
    pn_transport_push,
    pn_transport_tick,
)
from proton import SASL, Connection, Endpoint, Link, Receiver, Sender, Session, Transport

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.refusals import closed, login_refused, refused
from eventhub.brokers.errors import BrokerError, NotConnected

__all__ = ["Wire", "now"]

CALL_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 16.0
"""A broker that says nothing for so long is gone; it is told to say something twice as often."""
_READ: Final = 262_144
_WINDOW: Final = 32 * 1024 * 1024
"""Bytes of messages that may wait in proton, before the broker is told to wait."""
_CLOSED: Final = "The broker closed the connection."


class Wire:
    """One connection. After the first failure `lost` says why, and every call raises it."""

    def __init__(self, sock: socket.socket, config: ActiveMQConfig, purpose: str) -> None:
        self.lost = ""
        self.heard = now()
        """Time of the last bytes from the broker, in milliseconds."""
        self.greeting = b""
        """The first bytes that came: what answers may speak another protocol."""
        self._config = config
        self._socket = sock
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._unsent = b""
        self.connection = Connection()
        # Classic refuses a container id that is connected already.
        self.connection.container = f"eventhub-{purpose}-{uuid4().hex[:8]}"
        self.connection.hostname = config.host
        self._transport = Transport()
        self._transport.idle_timeout = IDLE_SECONDS
        self._transport.max_frame_size = 65_536
        self._sasl: SASL = self._transport.sasl()
        self._credentials()
        self._transport.bind(self.connection)
        self._engine = self._transport._impl

    def open(self, deadline: float) -> None:
        """Sign in. Raises NotConnected or PermanentFailure."""
        self.connection.open()
        try:
            self._wait_until(
                lambda: (
                    self.connection.state & Endpoint.REMOTE_ACTIVE
                    or self._sasl.outcome in (SASL.AUTH, SASL.SYS, SASL.PERM, SASL.TEMP)
                ),
                deadline,
                "finish the AMQP handshake",
            )
            self.check()
        except NotConnected as problem:
            # Classic opens and closes at once with the reason of a refused user.
            condition = self.connection.remote_condition
            raise (
                login_refused(self._config, self._sasl.outcome, condition)
                or closed(self._config, self.greeting)
                or problem
            ) from problem
        told = login_refused(self._config, self._sasl.outcome, self.connection.remote_condition)
        if told is not None:
            raise told

    def session(self, seconds: float = CALL_SECONDS) -> Session:
        session = self.connection.session()
        session.incoming_capacity = _WINDOW
        session.open()
        self.wait_for(lambda: session.state & Endpoint.REMOTE_ACTIVE, seconds, "begin a session")
        return session

    def attach(self, link: Sender | Receiver, what: str, seconds: float = CALL_SECONDS) -> None:
        """Open a link. Raises PermanentFailure with the broker's reason where it refuses."""
        link.open()
        self.wait_for(
            lambda: link.state & (Endpoint.REMOTE_ACTIVE | Endpoint.REMOTE_CLOSED),
            seconds,
            f"answer about {what}",
        )
        # A refusal is an attach without a terminus, and then a detach with the reason.
        terminus = link.remote_source if link.is_receiver else link.remote_target
        if terminus.type == terminus.UNSPECIFIED:
            self.wait_for(lambda: link.state & Endpoint.REMOTE_CLOSED, seconds, f"refuse {what}")
        if link.state & Endpoint.REMOTE_CLOSED:
            problem = refused(self._config, link.remote_condition, what)
            self.detach(link)
            raise problem

    def detach(self, link: Link) -> None:
        link.close()
        link.free()

    def round_trip(self, seconds: float = CALL_SECONDS) -> None:
        """Return when the broker has worked off all that was sent before: it answers in order."""
        session = self.session(seconds)
        session.close()
        session.free()

    def messages(self, link: Receiver, most: int) -> Iterator[tuple[bytes, Any]]:
        """What has wholly arrived on a link: bytes, and the engine's handle of the delivery."""
        handle = link._impl
        for _ in range(most):
            delivery = pn_link_current(handle)
            if not delivery or pn_delivery_partial(delivery):
                return
            if pn_delivery_aborted(delivery):
                pn_link_advance(handle)
                continue
            size = pn_delivery_pending(delivery)
            raw = bytes(pn_link_recv(handle, size)[1]) if size else b""
            pn_link_advance(handle)
            yield raw, delivery

    def arrived(self, link: Receiver, seconds: float = CALL_SECONDS) -> Iterator[tuple[bytes, Any]]:
        """As `messages`, and waits for the rest of one that has begun to arrive."""
        deadline = time.monotonic() + seconds
        while link.queued:
            found = list(self.messages(link, link.queued))
            yield from found
            if not found:
                self.check()
                if time.monotonic() > deadline:
                    self.fail("The broker began a message and did not end it.")
                self.pump(0.1)

    def accept(self, handles: Sequence[Any]) -> None:
        """Tell the broker that it may forget these, and wait until it has heard. Raises
        NotConnected.

        Classic settles in answer, once it has removed a message. Artemis has no such answer
        (ProtonServerSenderContext: "we don't currently support SECOND"); that it answers what was
        sent later is all that can be known.
        """
        for handle in handles:
            pn_delivery_update(handle, PN_ACCEPTED)
        if self._config.classic:
            waiting = deque(handles)

            def all_settled() -> bool:
                while waiting and pn_delivery_settled(waiting[0]):
                    waiting.popleft()
                return not waiting

            self.wait_for(all_settled, CALL_SECONDS, "confirm a removal")
        for handle in handles:
            pn_delivery_settle(handle)
        if not self._config.classic:
            self.round_trip()

    def check(self) -> None:
        """Raises NotConnected once the connection is lost."""
        if self.connection.state & Endpoint.REMOTE_CLOSED:
            condition = self.connection.remote_condition
            reason = (condition.description or condition.name) if condition else ""
            self.fail(f"{_CLOSED[:-1]}: {reason}." if reason else _CLOSED)
        if self.lost:
            raise NotConnected(self.lost)

    def pump(self, seconds: float = 0.0) -> None:
        """Send what is to be sent, wait up to `seconds` for something to come, and read it.

        Never raises; `check` does.
        """
        if self.lost:
            return
        self._tick()
        self._send()
        milliseconds = max(seconds, 0.0) * 1000
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            milliseconds = 0
        if self._unsent:
            self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)
        # A tick is due now and then even when nobody sends.
        self._poll.poll(min(milliseconds, 1000.0))
        if self._unsent:
            self._poll.modify(self._socket, select.POLLIN)
        self._receive()
        self._send()

    def wait_for(self, holds: Callable[[], object], seconds: float, what: str) -> None:
        """Pump until it holds. Raises NotConnected."""
        self._wait_until(holds, time.monotonic() + seconds, what)

    def wait_at_most(self, holds: Callable[[], object], seconds: float) -> None:
        """Pump until it holds or the time is over. Raises NotConnected."""
        deadline = time.monotonic() + seconds
        while not holds() and (left := deadline - time.monotonic()) > 0:
            self.check()
            self.pump(left)

    def fail(self, reason: str) -> None:
        self.lost = self.lost or reason

    def sever(self) -> None:
        """End it without a word, as a crash would."""
        self.fail("The connection is closed.")
        self._socket.close()

    def close(self, seconds: float = 2.0) -> None:
        """Say goodbye and end it; never raises."""
        if not self.lost:
            self.connection.close()
            try:
                self.wait_for(
                    lambda: self.connection.state & Endpoint.REMOTE_CLOSED, seconds, "say goodbye"
                )
            except BrokerError:
                self.fail("The broker did not say goodbye.")
        self.sever()

    def _credentials(self) -> None:
        config = self._config
        # TLS is our socket's, so that proton takes the connection for a plain one.
        self._sasl.allow_insecure_mechs = True
        if config.user:
            self.connection.user = config.user
            password = config.password.get_secret_value() if config.password else ""
            self.connection.password = password
            self._sasl.allowed_mechs("PLAIN")
        elif config.client_certificate_file:
            self._sasl.allowed_mechs("EXTERNAL ANONYMOUS")
        else:
            self._sasl.allowed_mechs("ANONYMOUS")

    def _wait_until(self, holds: Callable[[], object], deadline: float, what: str) -> None:
        while not holds():
            self.check()
            left = deadline - time.monotonic()
            if left <= 0:
                self.fail(f"The broker did not {what} in time.")
                self.check()
            self.pump(left)
        self._send()

    def _tick(self) -> None:
        pn_transport_tick(self._engine, time.monotonic_ns() // 1_000_000)
        if self._transport.condition is not None and self._transport.closed:
            self.fail(f"The connection broke: {self._transport.condition.description}.")

    def _send(self) -> None:
        engine = self._engine
        while not self.lost:
            if not self._unsent:
                pending = pn_transport_pending(engine)
                if pending <= 0:
                    return
                size, self._unsent = pn_transport_peek(engine, pending)
                if size <= 0:
                    self._unsent = b""
                    return
                pn_transport_pop(engine, size)
            try:
                sent = self._socket.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except (OSError, ValueError) as problem:
                self.fail(f"The connection broke: {getattr(problem, 'strerror', None) or problem}.")
                return
            self._unsent = self._unsent[sent:]

    def _receive(self) -> None:
        """Read what has come, at most what proton takes and one batch of the caller's."""
        for _ in range(16):
            if self.lost:
                return
            try:
                data = self._socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except (OSError, ValueError) as problem:
                self.fail(f"The connection broke: {getattr(problem, 'strerror', None) or problem}.")
                return
            if not data:
                self.fail(_CLOSED)
                return
            self.heard = now()
            if len(self.greeting) < 8:
                self.greeting += data[:8]
            self._push(data)

    def _push(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            room = pn_transport_capacity(self._engine)
            if room <= 0:
                reason = self._transport.condition
                told = reason.description if reason else "what answers does not speak AMQP 1.0"
                self.fail(f"The connection broke: {told}.")
                return
            took = pn_transport_push(self._engine, view[:room])
            if took <= 0:
                self.fail("The connection broke: what came is no AMQP 1.0.")
                return
            view = view[took:]


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
