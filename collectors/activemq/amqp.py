"""Links of AMQP 1.0 to topics and queues: what is read from them, and what is sent."""

import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from cproton import pn_delivery_settle
from proton import Data, Endpoint, Link, Receiver, Sender, Terminus, symbol

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import CONNECT_SECONDS, connect
from collectors.activemq.feed import HELD_BYTES, OVERFLOW, PREFETCH, READ_AHEAD
from collectors.activemq.names import Name, wildcards
from collectors.activemq.translate import delivery
from collectors.activemq.wire import CALL_SECONDS, Wire
from eventhub.brokers.contract import Delivery

__all__ = ["AmqpFeed", "dial", "receiver", "sender"]


def dial(config: ActiveMQConfig, purpose: str) -> Wire:
    """A connection that is signed in. Raises NotConnected or PermanentFailure."""
    deadline = time.monotonic() + CONNECT_SECONDS
    return greet(config, connect(config, deadline), purpose, deadline)


def greet(config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float) -> Wire:
    """Sign in over a socket. Raises NotConnected or PermanentFailure."""
    wire = Wire(sock, config, purpose)
    try:
        wire.open(deadline)
    except BaseException:
        wire.sever()
        raise
    return wire


def receiver(session: Any, config: ActiveMQConfig, name: Name) -> Receiver:
    """A link that is not yet attached, to read a topic or queue."""
    link: Receiver = session.receiver(f"eventhub-{time.monotonic_ns():x}")
    _address(link.source, config, name)
    return link


def sender(session: Any, config: ActiveMQConfig, name: Name) -> Sender:
    """A link that is not yet attached, to send to a topic or queue."""
    link: Sender = session.sender(f"eventhub-{time.monotonic_ns():x}")
    _address(link.target, config, name)
    return link


def _address(terminus: Terminus, config: ActiveMQConfig, name: Name) -> None:
    """Classic tells topics from queues by a prefix, Artemis by a capability of the terminus
    (https://activemq.apache.org/components/artemis/documentation/latest/amqp.html)."""
    if config.classic:
        terminus.address = name.full
        return
    terminus.address = name.text
    kind = symbol("topic" if name.topic else "queue")
    terminus.capabilities.put_array(False, Data.SYMBOL)
    terminus.capabilities.enter()
    terminus.capabilities.put_symbol(kind)
    terminus.capabilities.exit()


class _Place(NamedTuple):
    """One of our links, and what is read from it."""

    link: Receiver
    name: str
    known: bool
    """Whether the name is that of the messages' destination: it has no wildcard."""


class _Held(NamedTuple):
    place: _Place
    raw: bytes
    handle: Any


class AmqpFeed:
    """See `collectors.activemq.feed.Feed`."""

    def __init__(
        self, config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float
    ) -> None:
        self._config = config
        self._wire = greet(config, sock, purpose, deadline)
        self._places: list[_Place] = []
        self._takes = False
        self._held: deque[_Held] = deque()
        self._held_bytes = 0

    @property
    def lost(self) -> str:
        return self._wire.lost

    @property
    def heard(self) -> int:
        return self._wire.heard

    def subscribe(self, names: Sequence[Name], *, takes: bool) -> None:
        self._takes = takes
        self._attach(names, CALL_SECONDS, copies=False)
        for place in self._places:
            place.link.flow(PREFETCH if takes else READ_AHEAD)
        self._wire.round_trip()

    def probe(self, names: Sequence[Name], seconds: float) -> None:
        # A link without credit is sent nothing.
        self._attach(names, seconds, copies=self._config.mode == "browse")

    def _attach(self, names: Sequence[Name], seconds: float, *, copies: bool) -> None:
        session = self._wire.session(seconds)
        for name in names:
            link = receiver(session, self._config, name)
            if name.topic:
                # The broker forgets a message when it has sent it: a subscription to a topic
                # that is not durable would not be sent it again either.
                link.snd_settle_mode = Link.SND_SETTLED
            if copies:
                link.source.distribution_mode = Terminus.DIST_MODE_COPY
            self._wire.attach(link, name.words, seconds)
            known = not wildcards(name.text, classic=self._config.classic)
            self._places.append(_Place(link, str(name), known))

    def pump(self, seconds: float) -> None:
        wire = self._wire
        wire.pump(0.0 if self._held else seconds)
        for place in self._places:
            self._read(place)
        if not self._takes and self._held_bytes > HELD_BYTES:
            wire.fail(OVERFLOW)
        wire.pump(0.0)
        if wire.connection.state & Endpoint.REMOTE_CLOSED:
            condition = wire.connection.remote_condition
            wire.fail(_ended("The broker closed the connection", condition))

    def take(self, most: int) -> tuple[list[Delivery], object]:
        if self._takes and self.lost:
            return [], None  # the broker sends them again to the next connection
        held, count = self._held, min(most, len(self._held))
        took = [held.popleft() for _ in range(count)]
        self._held_bytes -= sum(len(each.raw) for each in took)
        deliveries = [delivery(each.raw, each.place.name, known=each.place.known) for each in took]
        return deliveries, took if self._takes and took else None

    def settle(self, token: object) -> None:
        self._wire.check()
        if not isinstance(token, list):
            return
        self._wire.accept([each.handle for each in token])
        for each in token:
            each.place.link.flow(1)
        self._wire.pump()

    def close(self) -> None:
        self._wire.close()

    def sever(self) -> None:
        self._wire.sever()

    def _read(self, place: _Place) -> None:
        if self._takes and self._held_bytes > HELD_BYTES:
            return  # proton's window fills, and the broker keeps the rest in its queue
        count = 0
        for raw, handle in self._wire.messages(place.link, PREFETCH):
            self._held.append(_Held(place, raw, handle))
            self._held_bytes += len(raw)
            count += 1
            if not self._takes:
                pn_delivery_settle(handle)
        if not self._takes and place.link.credit < READ_AHEAD // 2:
            place.link.flow(READ_AHEAD - place.link.credit)
        if not count and place.link.state & Endpoint.REMOTE_CLOSED:
            told = _ended(
                f"The broker ended the reading of {place.name}", place.link.remote_condition
            )
            self._wire.fail(told)


def _ended(what: str, condition: Any) -> str:
    reason = (condition.description or condition.name) if condition else ""
    return f"{what}: {reason.rstrip('.')}." if reason else f"{what}."
