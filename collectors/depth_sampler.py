"""Looks at a source's depths every few seconds, beside its collector.

In a thread of its own: a broker that is slow to tell its depths must not hold up its messages.
"""

import logging
import threading
from typing import Final

import msgspec
from django.db import Error, connection
from django.utils import timezone
from pydantic import ValidationError

from eventhub.brokers.backoff import delay
from eventhub.brokers.contract import DepthProbe, Depths
from eventhub.brokers.errors import BrokerError
from eventhub.sources.credentials import CredentialsLocked
from eventhub.sources.models import DepthReading, Source

__all__ = ["DepthSampler"]

logger = logging.getLogger(__name__)

MOST: Final = 1_000
"""Samples kept of one look; a reading says how many it leaves out."""
LONGEST_WAIT: Final = 60.0
"""Seconds between two looks that fail, at most."""


class DepthSampler:
    def __init__(self, source: Source, stop: threading.Event) -> None:
        self._source = source
        self._stop = stop
        self._probe: DepthProbe | None = None
        self._failures = 0

    def start(self) -> None:
        """Looks until the collector is told to stop. A look that hangs ends with the process."""
        if self._source.depth_every:
            threading.Thread(target=self._run, daemon=True, name="depth").start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._look()
                again = delay(self._failures, LONGEST_WAIT) if self._failures else 0.0
                self._stop.wait(max(self._source.depth_every, again))
        finally:
            self._close()
            connection.close()

    def _look(self) -> None:
        try:
            if self._probe is None:
                self._probe = self._source.adapter.depth(self._source.configuration())
            depths = self._probe.sample(MOST)
        except (BrokerError, CredentialsLocked, ValidationError) as error:
            self._failures += 1
            self._close()
            way_out = getattr(error, "way_out", "")
            self._write(None, f"{error} {way_out}".strip())
        else:
            self._failures = 0
            self._write(depths, "")

    def _write(self, depths: Depths | None, problem: str) -> None:
        values: dict[str, object] = {"problem": problem}
        if depths is not None:
            values |= {"at": timezone.now(), "packed": msgspec.msgpack.encode(depths)}
        try:
            DepthReading.objects.update_or_create(source=self._source, defaults=values)
        except Error as error:
            logger.warning("Depths of %s are not written: %s", self._source.name, error)
            connection.close()

    def _close(self) -> None:
        if self._probe is not None:
            self._probe.close()
            self._probe = None
