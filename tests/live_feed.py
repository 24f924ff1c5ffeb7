"""A source whose events a test stores, announces, or both."""

import asyncio
import time
from collections.abc import Callable

import redis

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from eventhub.events.identity import EventIds
from eventhub.live.frames import CHANNEL, Frame, encode_frame
from tests import pages

__all__ = ["LiveSource", "until"]


class LiveSource:
    """What a collector is to the live view."""

    def __init__(self, name: str, redis_url: str) -> None:
        self._source = pages.source(name)
        self.id: int = self._source.pk
        self.url = redis_url
        self.sequence = 0
        self._ids = EventIds()

    def events(
        self, count: int, type: str | None = "OrderPlaced", payload: bytes = b'{"order": 4711}'
    ) -> list[Event]:
        return [
            Event(each, self.id, "orders.placed", payload, len(payload), type=type, key="47112")
            for each in self._ids.take(count, time.time_ns() // 1_000_000)
        ]

    def store(self, events: list[Event]) -> list[Event]:
        pages.store(self._source, events)
        return events

    def announce(self, events: list[Event], gaps: list[Gap] | None = None) -> int:
        """Send one frame. Returns how many web processes heard it."""
        self.sequence += 1
        frame = Frame(self.id, f"collector-{self.id}", self.sequence, events, gaps or [])
        with redis.Redis.from_url(self.url) as client:
            heard = client.publish(CHANNEL, encode_frame(frame))
        assert isinstance(heard, int)
        return heard

    def lose_a_frame(self) -> None:
        self.sequence += 1


async def until(holds: Callable[[], object], what: str, seconds: float = 15) -> None:
    """Wait while the loop works; fails naming `what`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)
