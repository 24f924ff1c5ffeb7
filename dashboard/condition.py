"""How a source fares, in the words of a page."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from eventhub.sources.models import CollectorStatus, Source

__all__ = ["HEARTBEAT_LIMIT", "Condition", "condition_of", "is_up", "rate_of"]

HEARTBEAT_LIMIT: Final = timedelta(seconds=15)
"""A collector that has said nothing for this long is not taken at its last word."""

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

    @property
    def needs_attention(self) -> bool:
        return self.tone in ("warn", "bad", "unknown")


def is_up(state: str | None, heartbeat: datetime | None, now: datetime) -> bool:
    return state == _State.UP and heartbeat is not None and now - heartbeat <= HEARTBEAT_LIMIT


def rate_of(source: Source, condition: Condition) -> float | None:
    """Events a second now; None where nobody knows. Reads `source.status`."""
    status: CollectorStatus | None = getattr(source, "status", None)
    if status is None or condition.tone not in ("ok", "warn"):
        return None
    return status.rate


def condition_of(source: Source, now: datetime) -> Condition:
    """Reads `source.status`: select it with the source."""
    status: CollectorStatus | None = getattr(source, "status", None)
    if source.desired == Source.Desired.DELETED:
        return Condition("plain", "being removed", "its traces on the broker are being removed")
    if source.desired == Source.Desired.STOPPED:
        return Condition("plain", "stopped", since=status.since if status else None)
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
            "bad", "not connected", status.reason, status.way_out, status.since, status.retry_at
        )
    if status.state == _State.UP and not status.reason:
        return Condition("ok", "up", since=status.since)
    return Condition("warn", str(status.state), status.reason, status.way_out, status.since)
