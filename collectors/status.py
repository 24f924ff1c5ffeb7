"""How a collector fares, written where the Sources page reads it."""

import logging
import time
from collections import deque
from datetime import timedelta
from typing import Any, Final

from django.db import Error, connection
from django.utils import timezone

from eventhub.sources.leases import Holding
from eventhub.sources.models import CollectorStatus

__all__ = ["FAILED", "Reporter", "State"]

logger = logging.getLogger(__name__)

State = CollectorStatus.State
HEARTBEAT: Final = 2.0
"""Seconds between two signs of life."""
RATE_BEATS: Final = 5
"""Over how many of these signs the rate is taken: ten seconds."""
FAILED: Final = "The collector failed: "


class Reporter:
    """Writes the status of one collector. A database that is away never stops it."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._last: dict[str, Any] = {}
        self._received = 0
        self._beats = deque([(time.monotonic(), 0)], maxlen=RATE_BEATS)

    def tell(
        self,
        state: State,
        reason: str = "",
        *,
        way_out: str = "",
        retry_in: float | None = None,
        attempts: int = 0,
    ) -> None:
        now = timezone.now()
        said: dict[str, Any] = {"state": state, "reason": reason, "way_out": way_out}
        if state != State.UP:
            said["rate"] = None
        if state != self._last.get("state"):
            said["since"] = now
        self._last = said
        self._write(
            **said,
            attempts=attempts,
            retry_at=None if retry_in is None else now + timedelta(seconds=retry_in),
            heartbeat=now,
        )

    def beat(self, stored_within: int, received: int) -> None:
        """A sign of life every two seconds, however often this is called.

        `stored_within` is in milliseconds; `received` is how many events came since the last call.
        """
        self._received += received
        now = time.monotonic()
        if now - self._beats[-1][0] < HEARTBEAT:
            return
        then, received_then = self._beats[0]
        self._beats.append((now, self._received))
        self._write(
            heartbeat=timezone.now(),
            stored_within=stored_within,
            rate=(self._received - received_then) / (now - then),
        )

    def note_crash(self, words: str, *, retry_in: float, attempts: int) -> None:
        """Say that the process ended, and keep the reason that it could still give itself."""
        status = CollectorStatus.objects.filter(**self._holding._asdict()).first()
        own_words = status.reason if status and status.reason.startswith(FAILED) else ""
        self.tell(State.STARTING, own_words or words, retry_in=retry_in, attempts=attempts)

    def _write(self, **values: Any) -> None:
        try:
            CollectorStatus.objects.update_or_create(**self._holding._asdict(), defaults=values)
        except Error as error:
            logger.warning("The status of %s is not written: %s", self._holding, error)
            connection.close()
