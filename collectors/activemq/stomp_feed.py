"""Subscriptions over STOMP, and publishing with receipts."""

import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import CONNECT_SECONDS, connect
from collectors.activemq.feed import HELD_BYTES, OVERFLOW, PREFETCH, READ_AHEAD
from collectors.activemq.names import Name, parse
from collectors.activemq.stomp_frames import Frame
from collectors.activemq.stomp_translate import delivery, headers
from collectors.activemq.stomp_wire import StompWire, address, refusal
from eventhub.brokers.contract import Confirmed, Delivery, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import PermanentFailure

__all__ = ["StompFeed", "StompPublisher"]

_CONFIRM_SECONDS: Final = 10.0
_WINDOW: Final = 500
_WINDOW_BYTES: Final = 10 * 1024 * 1024
"""What Artemis may send ahead of our acknowledgements; it counts bytes, Classic messages."""


class StompFeed:
    """See `collectors.activemq.feed.Feed`."""

    def __init__(
        self, config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float
    ) -> None:
        self._config = config
        self._wire = StompWire(config, sock, purpose, deadline)
        self._held: deque[Frame] = deque()
        self._held_bytes = 0
        self._takes = False
        self._topic = True

    @property
    def lost(self) -> str:
        return self._wire.lost

    @property
    def heard(self) -> int:
        return self._wire.heard

    def subscribe(self, names: Sequence[Name], *, takes: bool) -> None:
        self._takes, self._topic = takes, not takes
        for number, name in enumerate(names):
            self._subscribe(name, str(number))

    def probe(self, names: Sequence[Name], seconds: float) -> None:
        # A subscription to a queue would be sent its messages at once, which takes them for a
        # moment and raises their delivery counts: only topics are tried.
        for number, name in enumerate(names):
            if name.topic:
                self._subscribe(name, str(number), seconds)

    def pump(self, seconds: float) -> None:
        wire = self._wire
        wire.pump(0.0 if self._held else seconds)
        self._held.extend(wire.messages)
        self._held_bytes += sum(len(frame.body) for frame in wire.messages)
        wire.messages.clear()
        if not self._takes and self._held_bytes > HELD_BYTES:
            wire.fail(OVERFLOW)

    def take(self, most: int) -> tuple[list[Delivery], object]:
        if self._takes and self.lost:
            return [], None
        frames = [self._held.popleft() for _ in range(min(most, len(self._held)))]
        self._held_bytes -= sum(len(frame.body) for frame in frames)
        found = [delivery(frame, topic=self._topic) for frame in frames]
        return found, frames if self._takes and frames else None

    def settle(self, token: object) -> None:
        """Each message has an ACK of its own; the broker works them off in order, so the receipt
        of the last one stands for all."""
        self._wire.check()
        if isinstance(token, list):
            *most, last = (frame.headers.get("ack", "") for frame in token)
            for told in most:
                self._wire.send("ACK", [("id", told)])
            self._wire.call("ACK", [("id", last)])

    def close(self) -> None:
        self._wire.close()

    def sever(self) -> None:
        self._wire.sever()

    def _subscribe(self, name: Name, number: str, seconds: float = CONNECT_SECONDS) -> None:
        frame = [
            ("id", number),
            ("ack", "client-individual" if self._takes else "auto"),
            *address(self._config, name, sending=False),
        ]
        if self._config.classic:
            most = PREFETCH if self._takes else READ_AHEAD
            frame.append(("activemq.prefetchSize", str(most)))
        else:
            frame.append(("consumer-window-size", str(_WINDOW_BYTES)))
        try:
            self._wire.call("SUBSCRIBE", frame, seconds)
        except PermanentFailure as problem:
            raise refusal(self._config, name, problem) from problem


class StompPublisher:
    """See `eventhub.brokers.contract.Publisher`. Connects with the first message."""

    def __init__(self, config: ActiveMQConfig) -> None:
        self._config = config
        self._wire: StompWire | None = None

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if not messages:
            return []
        wire = self._ready()
        where = address(self._config, parse(target), sending=True)
        told: list[str] = []
        for message in messages:
            if len(told) == 1:
                # An error ends the connection, and leaves unknown what was sent after: what the
                # broker has against the target, it says to the first message alone.
                self._wait(wire, told, 1)
            elif len(told) - len(wire.receipts) >= _WINDOW:
                self._wait(wire, told, len(told) - _WINDOW // 2)
            if wire.lost or wire.refusals or len(told) - len(wire.receipts) >= _WINDOW:
                break
            frame = [*where, *headers(message)]
            told.append(wire.send("SEND", frame, message.payload, receipt=True))
        self._wait(wire, told, len(told))
        outcomes = self._outcomes(wire, told, len(messages))
        if wire.refusals:
            self.close()  # the protocol ends a connection with its first error
        wire.receipts.clear()
        return outcomes

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

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

    def _wait(self, wire: StompWire, told: Sequence[str], count: int) -> None:
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

    def _outcomes(self, wire: StompWire, told: Sequence[str], count: int) -> list[Outcome]:
        reason = (
            " ".join(wire.refusals.values()) or wire.lost or "The broker did not answer in time."
        )
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
