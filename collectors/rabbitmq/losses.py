"""What the tap may have missed, as gaps; and what to remember so that none is told twice."""

import math
import time
from typing import Final

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.overflow import LAG, Tally
from collectors.rabbitmq.tap import Declared
from collectors.rabbitmq.watch import Sample
from eventhub.brokers.contract import Gap, Observation

__all__ = ["Losses"]

_LAG: Final = int(LAG * 1000)
_MARGIN: Final = 3.0
_TELL_EVERY: Final = 10_000
_NEARLY_FULL: Final = 0.95
_OVERFLOW: Final = "the tap overflowed: EventHub fell behind, and the oldest messages were dropped"
_EXPIRED: Final = "the tap had expired or was removed while EventHub was away"
_CHANGED: Final = "the tap was made anew, because its limits or bindings were changed"
_RESTARTED: Final = (
    "the broker restarted: messages that were not persistent and waited in the tap were lost"
)
_MAYBE_RESTARTED: Final = (
    "if the broker restarted, messages that were not persistent and waited in the tap were lost;"
    " EventHub could not tell, because it cannot read the management API"
)


class Losses:
    """Gaps found so far, and the running look for more. Times of gaps are milliseconds.

    The checkpoint keeps, in the life of one tap: `published` (of a firehose, what was delivered),
    to notice that the broker began to count anew; `dropped`, what was told already; `transient`,
    whether a restart loses messages.
    """

    def __init__(
        self,
        config: RabbitMQConfig,
        observation: Observation,
        declared: Declared,
        sample: Sample | None,
    ) -> None:
        self.gaps: list[Gap] = []
        self._config = config
        self._seen = observation.last_seen
        fresh = declared.waiting is None or declared.given_up
        known = {} if fresh else observation.checkpoint
        # Traces go to queues past the channels whose publishing the API counts: only deliveries
        # are counted of them. And none is persistent.
        self._counts = config.mode == "tap"
        self.transient = known.get("transient") == "yes" or not self._counts
        self._counted = int(known.get("published", 0))
        self._told = dict(known)
        now = _now()
        self._opened = now
        self._balanced = self._looked = self._seen or now
        self._full_since: int | None = None
        self._tally = Tally(
            last_received=time.monotonic() - _seconds_away(declared, self._seen, now),
            accounted=int(known.get("dropped", 0)),
        )
        self._sampled = False
        self._bytes = self._messages = 0
        self._waited = 0 if fresh else declared.waiting or 0
        if not fresh:
            self._tell_restart(sample, now)
        self._tell_opening(declared, now)

    def received(self, messages: int, size: int) -> None:
        """Note the payloads' size: without figures, what waits is taken to be like them."""
        self._messages += messages
        self._bytes += size

    def take(self) -> list[Gap]:
        gaps, self.gaps = self.gaps, []
        return gaps

    def checkpoint(self) -> dict[str, str]:
        """The entries that have changed."""
        entries = {"dropped": str(self._tally.accounted)}
        if self._sampled:
            entries["published"] = str(self._counted)
        if self.transient:
            entries["transient"] = "yes"
        changed = {name: value for name, value in entries.items() if self._told.get(name) != value}
        self._told.update(changed)
        return changed

    def look(self, sample: Sample | None, waiting: int, own: int) -> None:
        """Compare the figures with what waits and what we received; a drop becomes a gap."""
        now = _now()
        if sample is not None:
            self._tally.figures(sample.at, sample.figures)
            self._counted, self._sampled = self._counter(sample), True
        dropped = self._tally.look(time.monotonic(), waiting, own) if self._counts else None
        if dropped is None:
            # What waited when we came is judged once its messages' size is known.
            self._tell_full(self._is_full(sample, max(waiting, self._waited)), now)
            self._waited = self._waited if not self._messages else 0
            return
        self._full_since = None
        if dropped:
            self.gaps.append(Gap(_OVERFLOW, self._balanced, now, dropped))
        if now - self._opened > _LAG:
            # The figures did not hold yet what happened later than this.
            self._balanced = now - _LAG

    def _is_full(self, sample: Sample | None, waiting: int) -> bool:
        limit = self._config.tap_max_mib * 1024 * 1024 * _NEARLY_FULL
        if waiting >= self._config.tap_max_messages:
            return True
        if sample is not None:
            return sample.figures.bytes_ready >= limit
        return waiting * self._bytes >= limit * max(self._messages, 1)

    def _tell_full(self, full: bool, now: int) -> None:
        """Without figures, a full tap is a gap of unknown size: one every 10 s, and the last."""
        if full and self._full_since is None:
            self._full_since = self._looked
        started = self._full_since
        if started is not None and (not full or now - started >= _TELL_EVERY):
            self.gaps.append(Gap(_OVERFLOW, started, now))
            self._full_since = None
        self._looked = now

    def _tell_opening(self, declared: Declared, now: int) -> None:
        if declared.given_up:
            self.gaps.append(Gap(_CHANGED, self._seen or now, now, declared.waiting or None))
        elif declared.waiting is None and self._seen is not None:
            self.gaps.append(Gap(_EXPIRED, self._seen, now))

    def _counter(self, sample: Sample) -> int:
        """One that only grows until the broker begins to count anew."""
        return sample.figures.published if self._counts else sample.figures.delivered

    def _tell_restart(self, sample: Sample | None, now: int) -> None:
        """A restart takes what was not persistent, and the broker's counters with it."""
        if sample is not None and self._counter(sample) < self._counted:
            self._tally.reset = True
            if self.transient and self._seen is not None:
                self.gaps.append(Gap(_RESTARTED, self._seen, now))
        elif sample is None and self.transient and self._seen is not None:
            self.gaps.append(Gap(_MAYBE_RESTARTED, self._seen, now))


def _seconds_away(declared: Declared, seen: int | None, now: int) -> float:
    """For how long nobody can have received from a queue of this name."""
    if seen is not None and not declared.given_up:
        return max((now - seen) / 1000 - _MARGIN, 0.0)
    return math.inf if declared.waiting is None else 0.0


def _now() -> int:
    return time.time_ns() // 1_000_000
