"""Spans in which the tap stood and got nothing: the firehose was off, or a binding was gone.

Nothing on the tap's connection tells of either. What the management API tells is remembered in
the checkpoint, because the source may be off for long before it sees again.
"""

import time
from typing import Final

from eventhub.brokers.contract import Gap, Observation
from eventhub.brokers.errors import BrokerError

__all__ = ["Blindness"]

_SINCE: Final = "blind_since"


class Blindness:
    """Times are milliseconds since 1970."""

    def __init__(self, observation: Observation, reason: str) -> None:
        """`reason` is the one that the gap will have."""
        self.problem: BrokerError | None = None
        """What a person must do, while nothing is seen."""
        self._told = observation.checkpoint.get(_SINCE, "")
        self._since = int(self._told) if self._told else None
        self._seeing = observation.last_seen or _now()
        self._reason = reason
        self._gaps: list[Gap] = []

    @property
    def told(self) -> bool:
        """Whether the store knows since when nothing is seen."""
        return self._told == self._entry()

    def look(self, at: int, problem: BrokerError | None) -> None:
        """How it was `at` that time: nothing is seen because of the problem, or all is well."""
        self.problem = problem
        if problem is not None:
            self._since = self._since or self._seeing
            return
        if self._since is not None:
            self._gaps.append(Gap(self._reason, self._since, _now()))
            self._since = None
        self._seeing = at

    def take(self) -> list[Gap]:
        gaps, self._gaps = self._gaps, []
        return gaps

    def checkpoint(self) -> dict[str, str]:
        """The entry, if it has changed."""
        if self.told:
            return {}
        self._told = self._entry()
        return {_SINCE: self._told}

    def _entry(self) -> str:
        return "" if self._since is None else str(self._since)


def _now() -> int:
    return time.time_ns() // 1_000_000
