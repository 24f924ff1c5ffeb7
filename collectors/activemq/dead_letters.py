"""Dead letters over AMQP: looked at by browsing, claimed as a consumer, removed one by one.

Artemis writes into a letter where it died. Classic does not for messages that came over AMQP: it
hands out their bytes as they were, and tells origin and cause by Jolokia only (`verdicts.py`).
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from cproton import PN_RELEASED, pn_delivery_settle, pn_delivery_update
from proton import Endpoint, Receiver

from collectors.activemq.amqp import dial, receiver
from collectors.activemq.browser import Positions, look
from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.names import Name, parse
from collectors.activemq.translate import delivery
from collectors.activemq.verdicts import letter, verdicts
from collectors.activemq.wire import Wire
from eventhub.brokers.contract import (
    Confirmed,
    DeadLetter,
    DeadLetterAccess,
    Delivery,
    Outcome,
    Refused,
    Unknown,
)
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["ACCESS", "DeadLetters"]

ACCESS: Final = DeadLetterAccess(
    peeks=True,
    claims=True,
    note="Looking copies and takes nothing; Classic shows the first 400 (maxBrowsePageSize) only."
    " A claimed letter is hidden from others until it is removed or released; releasing does not"
    " count as a delivery, a lost connection does. Needs a source whose protocol is AMQP.",
)
_DRAIN_SECONDS: Final = 5.0


class _Token(NamedTuple):
    connection: int
    number: int


class DeadLetters:
    """See `eventhub.brokers.contract.DeadLetters`. Connects with the first call."""

    def __init__(self, config: ActiveMQConfig) -> None:
        if config.protocol != "amqp":
            raise PermanentFailure(
                f"Dead letters are read over AMQP, not over {config.protocol.upper()}.",
                way_out="Add a source of the same broker with the protocol amqp.",
            )
        self._config = config
        self._wire: Wire | None = None
        self._session: Any = None
        self._links: dict[Name, Receiver] = {}
        self._claimed: dict[_Token, Any] = {}
        self._connections = 0
        self._numbers = 0

    def peek(self, queue: str, limit: int, after: str | None = None) -> list[DeadLetter]:
        wire, name = self._ready(), parse(queue)
        found: list[Delivery] = []
        seen: list[Delivery] = []
        positions = Positions()
        passed = after is None
        for raw in look(wire, self._session, self._config, name):
            plain = delivery(raw, str(name), known=True)
            copy = msgspec.structs.replace(plain, position=positions.of(raw, plain))
            (found if passed else seen).append(copy)
            passed = passed or copy.position == after
            if len(found) >= limit:
                break
        # A letter that is no longer there cannot be passed: begin anew.
        return self._letters(name, found if passed else seen[:limit])

    def claim(self, queue: str, limit: int, max_wait: float) -> list[DeadLetter]:
        wire, name = self._ready(), parse(queue)
        link = self._link(wire, name)
        link.flow(limit)
        wire.wait_at_most(lambda: link.queued >= limit, max_wait)
        # What is not here by now shall stay there: the credit is taken back.
        link.drain(0)
        wire.wait_for(lambda: not link.draining(), _DRAIN_SECONDS, "take our credit back")
        taken: list[tuple[Delivery, _Token]] = []
        positions = Positions()
        for raw, handle in wire.arrived(link):
            self._numbers += 1
            token = _Token(self._connections, self._numbers)
            self._claimed[token] = handle
            plain = delivery(raw, str(name), known=True)
            taken.append((msgspec.structs.replace(plain, position=positions.of(raw, plain)), token))
        letters = self._letters(name, [each for each, _ in taken])
        return [
            msgspec.structs.replace(found, token=token)
            for found, (_, token) in zip(letters, taken, strict=True)
        ]

    def remove(self, letters: Sequence[DeadLetter]) -> list[Outcome]:
        handles = [self._held(each.token) for each in letters]
        back = Refused("The claim ended with its connection: it is back.")
        done: Outcome = Confirmed()
        try:
            self._live().accept([handle for handle in handles if handle is not None])
        except NotConnected as problem:
            done = Unknown(f"The removal was not confirmed: {problem}")
        return [back if handle is None else done for handle in handles]

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """`released`, not `modified`: it is not counted as a failed delivery."""
        for each in letters:
            if (handle := self._held(each.token)) is not None:
                pn_delivery_update(handle, PN_RELEASED)
                pn_delivery_settle(handle)
        self._live().round_trip()

    def close(self) -> None:
        if self._wire is None:
            return
        if not self._wire.lost:
            for handle in self._claimed.values():
                pn_delivery_update(handle, PN_RELEASED)
                pn_delivery_settle(handle)
        self._claimed.clear()
        self._links.clear()
        self._wire.close()
        self._wire = None

    def _letters(self, name: Name, found: Sequence[Delivery]) -> list[DeadLetter]:
        told = verdicts(self._config, name, found)
        return [
            letter(each, told.get((each.message_id or "").removeprefix("ID:"))) for each in found
        ]

    def _ready(self) -> Wire:
        if self._wire is not None:
            self._wire.pump()
            if self._wire.lost or self._wire.connection.state & Endpoint.REMOTE_CLOSED:
                self.close()
        if self._wire is None:
            self._wire = dial(self._config, "dead-letters")
            self._session = self._wire.session()
            self._connections += 1
        return self._wire

    def _live(self) -> Wire:
        if self._wire is None:
            raise NotConnected("The dead letters are closed.")
        self._wire.check()
        return self._wire

    def _link(self, wire: Wire, name: Name) -> Receiver:
        """A letter is settled on the link that it came by, so links stay open."""
        link = self._links.get(name)
        if link is None or link.state & Endpoint.REMOTE_CLOSED:
            link = receiver(self._session, self._config, name)
            wire.attach(link, name.words)
            self._links[name] = link
        return link

    def _held(self, token: object) -> Any | None:
        """The engine's handle of a letter that is still claimed, which it then no longer is."""
        if self._wire is None or self._wire.lost or not isinstance(token, _Token):
            return None
        return self._claimed.pop(token, None)
