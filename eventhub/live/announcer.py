"""Tells the web processes what was committed, a few frames a second, through Redis."""

import logging
import secrets
import time
from typing import Final

import msgspec
import redis

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from eventhub.live.frames import CHANNEL, PAYLOAD_LIMIT, Frame, encode_frame

__all__ = ["Announcer"]

logger = logging.getLogger(__name__)

INTERVAL: Final = 0.1
"""Seconds between two frames of a source: about ten a second."""
RETRY_AFTER: Final = 1.0
MAX_BUFFERED: Final = 4 * 1024 * 1024
"""Payload bytes that are sent at once without waiting for the interval, so that no frame comes
near the output buffer that Redis grants a subscriber (32 MB by default)."""


class Announcer:
    """Frames of one source. Announcing is best effort: what a frame lacks, the store has.

    A failed publish leaves a hole in `Frame.sequence`, and pages then catch up from the store.
    """

    def __init__(self, redis_url: str, source_id: int) -> None:
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=1.0, socket_connect_timeout=0.5, health_check_interval=30
        )
        self._source_id = source_id
        self._collector = secrets.token_hex(4)
        self._sequence = 0
        self._events: list[Event] = []
        self._gaps: list[Gap] = []
        self._size = 0
        self._last_sent = 0.0
        self._retry_at = 0.0

    def announce(self, events: list[Event], gaps: list[Gap]) -> None:
        """Take committed events; they leave now or within the interval."""
        self._events += events
        self._gaps += gaps
        self._size += sum(min(len(event.payload), PAYLOAD_LIMIT) for event in events)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        waited = time.monotonic() - self._last_sent
        if (self._events or self._gaps) and (waited >= INTERVAL or self._size >= MAX_BUFFERED):
            self.flush()

    def flush(self) -> None:
        """Send what waits. Never raises."""
        events, self._events = self._events, []
        gaps, self._gaps = self._gaps, []
        self._size = 0
        if not events and not gaps:
            return
        self._sequence += 1
        now = time.monotonic()
        self._last_sent = now
        if now < self._retry_at:
            return
        frame = Frame(
            self._source_id,
            self._collector,
            self._sequence,
            [_cut(event) for event in events],
            gaps,
        )
        try:
            self._redis.publish(CHANNEL, encode_frame(frame))
        except redis.RedisError as error:
            self._retry_at = time.monotonic() + RETRY_AFTER
            logger.warning(
                "Live pages are not told of source %d: %s. Events are stored all the same.",
                self._source_id,
                error,
            )

    def close(self) -> None:
        self.flush()
        self._redis.close()


def _cut(event: Event) -> Event:
    if len(event.payload) <= PAYLOAD_LIMIT:
        return event
    return msgspec.structs.replace(event, payload=event.payload[:PAYLOAD_LIMIT])
