"""Publishes over AMQP: persistent, unsettled, many in flight; the broker's disposition is its word.

Accepted is confirmed; rejected, released and modified are refused, with the broker's reason. What
was sent and has no answer when the connection is lost is unknown.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from cproton import (
    PN_ACCEPTED,
    PN_MODIFIED,
    PN_REJECTED,
    PN_RELEASED,
    pn_delivery,
    pn_delivery_remote_state,
    pn_delivery_settle,
    pn_link_advance,
    pn_link_credit,
    pn_link_send,
)
from proton import Delivery, Endpoint, Sender

from collectors.activemq.amqp import dial, sender
from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.names import Name, parse
from collectors.activemq.translate import Unwritable, encode
from collectors.activemq.wire import Wire
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["AmqpPublisher"]

_CONFIRM_SECONDS: Final = 10.0
"""Without any answer for so long, what is in flight is unknown."""
_WINDOW: Final = 1_000
_PUMP_EVERY: Final = 50
_LINKS: Final = 32
"""Targets whose links are kept open."""


class AmqpPublisher:
    """See `eventhub.brokers.contract.Publisher`. Connects with the first message."""

    def __init__(self, config: ActiveMQConfig) -> None:
        self._config = config
        self._wire: Wire | None = None
        self._session: Any = None
        self._links: dict[Name, Sender] = {}

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if not messages:
            return []
        name = parse(target)
        wire = self._ready()
        try:
            link = self._link(wire, name)
        except PermanentFailure as problem:
            return [Refused(str(problem))] * len(messages)
        batch = _Batch(wire, link, [_encoded(message, name) for message in messages])
        batch.send()
        if link.state & Endpoint.REMOTE_CLOSED:
            self._forget(name)
        return batch.outcomes()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
            self._links.clear()

    def _ready(self) -> Wire:
        """A live connection: one that the broker has closed meanwhile is made anew."""
        if self._wire is not None:
            self._wire.pump()
            if self._wire.lost or self._wire.connection.state & Endpoint.REMOTE_CLOSED:
                self.close()
        if self._wire is None:
            self._wire = dial(self._config, "publisher")
            self._session = self._wire.session()
        return self._wire

    def _link(self, wire: Wire, name: Name) -> Sender:
        kept = self._links.get(name)
        if kept is not None and not kept.state & Endpoint.REMOTE_CLOSED:
            return kept
        if kept is not None or len(self._links) >= _LINKS:
            self._forget(name if kept is not None else next(iter(self._links)))
        link = sender(self._session, self._config, name)
        wire.attach(link, name.words)
        self._links[name] = link
        return link

    def _forget(self, name: Name) -> None:
        if self._wire is not None and (link := self._links.pop(name, None)) is not None:
            self._wire.detach(link)


class _Batch:
    """Encoded messages on one link, and what becomes of each."""

    def __init__(self, wire: Wire, link: Sender, encoded: Sequence[bytes | Refused]) -> None:
        self._wire = wire
        self._link = link
        self._encoded = encoded
        self._outcomes: list[Outcome | None] = [
            each if isinstance(each, Refused) else None for each in encoded
        ]
        self._in_flight: dict[int, Any] = {}
        self._answered = time.monotonic()

    def send(self) -> None:
        handle = self._link._impl
        for number, raw in enumerate(self._encoded):
            if isinstance(raw, Refused):
                continue
            if not self._room():
                return
            delivery = pn_delivery(handle, number.to_bytes(4, "big"))
            pn_link_send(handle, raw)
            pn_link_advance(handle)
            self._in_flight[number] = delivery
            if number % _PUMP_EVERY == _PUMP_EVERY - 1:
                self._pump(0.0)
        while self._in_flight and self._going():
            self._pump(0.1)

    def outcomes(self) -> list[Outcome]:
        self._collect(in_order=False)
        reason = self._wire.lost or self._link_reason() or "The broker did not answer in time."
        unsent = Refused(f"Not sent: {reason}")
        unknown = Unknown(f"{reason} The message may or may not have been taken.")
        found: list[Outcome] = []
        for number, outcome in enumerate(self._outcomes):
            lost = unknown if number in self._in_flight else unsent
            found.append(lost if outcome is None else outcome)
        for delivery in self._in_flight.values():
            pn_delivery_settle(delivery)
        return found

    def _room(self) -> bool:
        """Wait for credit and a place in the window; False when none will come."""
        while pn_link_credit(self._link._impl) <= 0 or len(self._in_flight) >= _WINDOW:
            if not self._going():
                return False
            self._pump(0.1)
        return self._going()

    def _going(self) -> bool:
        if self._wire.lost or self._link.state & Endpoint.REMOTE_CLOSED:
            return False
        return time.monotonic() - self._answered < _CONFIRM_SECONDS

    def _pump(self, seconds: float) -> None:
        self._wire.pump(seconds)
        with suppress(NotConnected):  # `lost` says it
            self._wire.check()
        self._collect(in_order=True)

    def _collect(self, *, in_order: bool) -> None:
        """Note what was answered. Answers come in the order of the messages most often, so that
        the first without one ends the look, but for the last look of all."""
        answered = []
        for number, delivery in self._in_flight.items():
            state = pn_delivery_remote_state(delivery)
            if state in _FINAL:
                self._outcomes[number] = _outcome(state, delivery)
                pn_delivery_settle(delivery)
                answered.append(number)
            elif in_order:
                break
        for number in answered:
            del self._in_flight[number]
        if answered:
            self._answered = time.monotonic()

    def _link_reason(self) -> str:
        condition = self._link.remote_condition
        if condition is None:
            return ""
        return f"The broker ended the sending: {condition.description or condition.name}."


_FINAL: Final = frozenset((PN_ACCEPTED, PN_REJECTED, PN_RELEASED, PN_MODIFIED))


def _outcome(state: int, delivery: Any) -> Outcome:
    if state == PN_ACCEPTED:
        return Confirmed()
    condition = Delivery.wrap(delivery).remote.condition if state == PN_REJECTED else None
    said = (condition.description or condition.name) if condition else ""
    word = {PN_REJECTED: "rejected", PN_RELEASED: "released"}.get(state, "modified")
    return Refused(f"The broker {word} the message: {said or 'it gives no reason'}.")


def _encoded(message: Message, name: Name) -> bytes | Refused:
    try:
        return encode(message, name.text)
    except Unwritable as problem:
        return Refused(f"AMQP cannot carry this: {problem}.")
