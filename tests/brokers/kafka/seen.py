"""What a consumer of the log has told, gathered until it is enough."""

import time
from collections.abc import Callable
from typing import Any

from eventhub.brokers.contract import Consumer, Delivery, Gap

__all__ = ["Seen", "count", "seen"]


class Seen:
    """What a consumer has told so far."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.gaps: list[Gap] = []
        self.checkpoint: dict[str, str] = {}

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.deliveries]

    def offset(self, part: str) -> str:
        """Where to go on there; empty where it has not begun."""
        return self.checkpoint.get(part, "").partition(" ")[0]

    def drain(self, consumer: Consumer, enough: Callable[["Seen"], Any]) -> "Seen":
        deadline = time.monotonic() + 20
        while not enough(self):
            assert time.monotonic() < deadline, (self.payloads, self.gaps, self.checkpoint)
            received = consumer.receive(100, 0.1)
            self.deliveries += received.deliveries
            self.gaps += received.gaps
            self.checkpoint |= received.checkpoint
        return self


def seen(consumer: Consumer, enough: Callable[[Seen], Any]) -> Seen:
    return Seen().drain(consumer, enough)


def count(number: int) -> Callable[[Seen], bool]:
    return lambda so_far: len(so_far.deliveries) >= number
