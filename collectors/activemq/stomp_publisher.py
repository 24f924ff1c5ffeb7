"""Publishes over STOMP: a receipt for each message, many in flight."""

import time
from collections.abc import Sequence
from typing import Final

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import CONNECT_SECONDS, connect
from collectors.activemq.names import parse
from collectors.activemq.stomp_translate import headers
from collectors.activemq.stomp_wire import StompWire, address
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown

__all__ = ["StompPublisher"]

_CONFIRM_SECONDS: Final = 10.0
_WINDOW: Final = 500


class StompPublisher:
    """See `eventhub.brokers.contract.Publisher`. Connects with the first message."""

    def __init__(self, config: ActiveMQConfig) -> None:
        self._config = config
        self._wire: StompWire | None = None
        self._taken: set[str] = set()
        """Targets that the broker has taken a message for."""

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if not messages:
            return []
        wire = self._ready()
        where = address(self._config, parse(target), sending=True)
        told: list[str] = []
        for message in messages:
            if told and target not in self._taken:
                # An error ends the connection, and leaves unknown what was sent after: what the
                # broker has against the target, it says to the first message alone.
                _wait(wire, 1)
                if wire.receipts:
                    self._taken.add(target)
            if len(told) - len(wire.receipts) >= _WINDOW:
                _wait(wire, len(told) - _WINDOW // 2)
            if wire.lost or wire.refusals or len(told) - len(wire.receipts) >= _WINDOW:
                break  # nothing more is answered
            frame = [*where, *headers(message)]
            told.append(wire.send("SEND", frame, message.payload, receipt=True))
        _wait(wire, len(told))
        if wire.receipts:
            self._taken.add(target)
        outcomes = _outcomes(wire, told, len(messages))
        if wire.refusals:
            self.close()  # the protocol ends a connection with its first error
        wire.receipts.clear()
        return outcomes

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
            self._taken.clear()

    def _ready(self) -> StompWire:
        if self._wire is not None:
            self._wire.pump(0)
            if self._wire.lost or self._wire.refusals:
                self.close()
        if self._wire is None:
            deadline = time.monotonic() + CONNECT_SECONDS
            sock = connect(self._config, deadline)
            self._wire = StompWire(self._config, sock, "publisher", deadline)
        return self._wire


def _wait(wire: StompWire, count: int) -> None:
    """Until so many are answered, or no answer comes any more."""
    known = len(wire.receipts)
    deadline = time.monotonic() + _CONFIRM_SECONDS
    while len(wire.receipts) + len(wire.refusals) < count and not wire.lost:
        wire.pump(0.1)
        if len(wire.receipts) != known:
            known = len(wire.receipts)
            deadline = time.monotonic() + _CONFIRM_SECONDS
        elif time.monotonic() > deadline:
            return


def _outcomes(wire: StompWire, told: Sequence[str], count: int) -> list[Outcome]:
    reason = " ".join(wire.refusals.values()) or wire.lost or "The broker did not answer in time."
    unknown = Unknown(f"{reason} The message may or may not have been taken.")
    found: list[Outcome] = []
    for receipt in told:
        if receipt in wire.receipts:
            found.append(Confirmed())
        elif receipt in wire.refusals:
            found.append(Refused(f"The broker refused: {wire.refusals[receipt]}."))
        else:
            found.append(unknown)
    return found + [Refused(f"Not sent: {reason}")] * (count - len(found))
