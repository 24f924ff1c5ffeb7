"""How a source fares, in the words of a page."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from eventhub.sources.models import CollectorStatus, Source

__all__ = ["HEARTBEAT_LIMIT", "URGENCY", "Condition", "condition_of", "is_up"]

HEARTBEAT_LIMIT: Final = timedelta(seconds=15)
"""A collector that has said nothing for this long is not taken at its last word."""
URGENCY: Final = {"bad": 0, "unknown": 1, "warn": 2, "ok": 3, "plain": 4}
"""Of a tone: the least is the most urgent."""

_State = CollectorStatus.State


class Condition(NamedTuple):
    """A source's state as shown: always a tone with its word."""

    tone: str
    """`ok`, `warn`, `bad`, `unknown` or `plain`."""
    word: str
    reason: str = ""
    way_out: str = ""
    since: datetime | None = None
    retry_at: datetime | None = None
    attempts: int = 0
    rate: float | None = None
    """Events a second now; None where nobody knows."""
    heartbeat: datetime | None = None
    """The last sign of life of any of its collectors."""
    stored_within: int | None = None
    """Milliseconds from receiving to committed; of the slowest of its collectors."""

    @property
    def needs_attention(self) -> bool:
        return self.tone in ("warn", "bad", "unknown")


def is_up(state: str | None, heartbeat: datetime | None, now: datetime) -> bool:
    return state == _State.UP and heartbeat is not None and now - heartbeat <= HEARTBEAT_LIMIT


def condition_of(source: Source, now: datetime) -> Condition:
    """The worst of what its collectors say. Reads `source.statuses`: prefetch them."""
    statuses = {each.share: each for each in source.statuses.all() if each.share < source.shares}
    if source.desired == Source.Desired.DELETED:
        return Condition("plain", "being removed", "its traces on the broker are being removed")
    if source.desired == Source.Desired.STOPPED:
        since = max((status.since for status in statuses.values()), default=None)
        return _with_figures(Condition("plain", "stopped", since=since), statuses.values(), [])
    of_each = [_of_collector(statuses.get(share), now) for share in range(source.shares)]
    worst = min(of_each, key=lambda each: URGENCY[each.tone])
    return _with_figures(_in_words(worst, of_each), statuses.values(), of_each)


def _in_words(worst: Condition, of_each: list[Condition]) -> Condition:
    """The words of one collector, and for how many they hold where others fare better."""
    alike = [each for each in of_each if each[:2] == worst[:2]]
    since = min((each.since for each in alike if each.since), default=None)
    if len(alike) == len(of_each):
        return worst._replace(since=since)
    of = f"{len(alike)} of {len(of_each)} collectors"
    return worst._replace(since=since, reason=f"{of}: {worst.reason}" if worst.reason else of)


def _with_figures(
    condition: Condition, statuses: Iterable[CollectorStatus], of_each: Iterable[Condition]
) -> Condition:
    rates = [each.rate for each in of_each if each.rate is not None]
    beats = [status.heartbeat for status in statuses if status.heartbeat is not None]
    stored = [each.stored_within for each in of_each if each.stored_within is not None]
    return condition._replace(
        rate=sum(rates) if rates else None,
        heartbeat=max(beats, default=None),
        stored_within=max(stored, default=None),
    )


def _of_collector(status: CollectorStatus | None, now: datetime) -> Condition:
    if status is None:
        return Condition(
            "warn",
            "no collector",
            "no collector has taken it up yet",
            "Start it with bin/run, or manage.py collect",
        )
    if status.state == _State.FAILED:
        return Condition("bad", "failed", status.reason, status.way_out, status.since)
    # A collector that said when it will try again is not silent until then.
    promised = status.heartbeat and max(status.heartbeat, status.retry_at or status.heartbeat)
    if promised is None or now - promised > HEARTBEAT_LIMIT:
        return Condition(
            "unknown",
            "no heartbeat",
            "its collector does not answer, so nobody knows whether events are missed",
            "Start it with bin/run, or manage.py collect",
            status.heartbeat or status.since,
        )
    if status.state == _State.NOT_CONNECTED:
        return Condition(
            "bad",
            "not connected",
            status.reason,
            status.way_out,
            status.since,
            status.retry_at,
            status.attempts,
        )
    if status.state == _State.UP and not status.reason:
        up = Condition("ok", "up", since=status.since, rate=status.rate)
        return up._replace(stored_within=status.stored_within)
    words = (str(status.state), status.reason, status.way_out)
    return Condition("warn", *words, status.since, rate=status.rate)
