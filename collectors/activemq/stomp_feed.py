"""Subscriptions over STOMP."""

import socket
from collections import deque
from collections.abc import Sequence
from typing import Final

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import CONNECT_SECONDS
from collectors.activemq.feed import HELD_BYTES, OVERFLOW, PREFETCH, READ_AHEAD
from collectors.activemq.names import Name
from collectors.activemq.stomp_frames import Frame
from collectors.activemq.stomp_translate import delivery
from collectors.activemq.stomp_wire import StompWire, address, refusal
from eventhub.brokers.contract import Delivery
from eventhub.brokers.errors import PermanentFailure

__all__ = ["StompFeed"]

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
