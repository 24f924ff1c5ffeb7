"""UTC days of events: what PostgreSQL partitions by and what both engines count by."""

from typing import Final

from eventhub.events.identity import first_id, time_of

__all__ = ["DAY", "MINUTE", "day_of", "first_id_of_day", "minute_of"]

DAY: Final = 86_400_000
"""Milliseconds."""
MINUTE: Final = 60_000
"""Milliseconds."""


def day_of(event_id: bytes) -> int:
    """Days since 1970-01-01 of the observed time in an id."""
    return time_of(event_id) // DAY


def first_id_of_day(day: int) -> bytes:
    """The least id of a day."""
    return first_id(day * DAY)


def minute_of(event_id: bytes) -> int:
    """Start of the minute of the observed time in an id, in milliseconds."""
    time = time_of(event_id)
    return time - time % MINUTE
