"""UTC days of events: what PostgreSQL partitions by and what both engines count by."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from eventhub.events.event import Event
from eventhub.events.identity import first_id, time_of

__all__ = ["DAY", "MINUTE", "day_of", "first_id_of_day", "minute_of", "runs"]

DAY: Final = 86_400_000
"""Milliseconds."""
MINUTE: Final = 60_000
"""Milliseconds."""


def day_of(event_id: bytes) -> int:
    """Days since 1970-01-01 of the observed time in an id."""
    return time_of(event_id) // DAY


def minute_of(event_id: bytes) -> int:
    """Start of the minute of the observed time in an id, in milliseconds."""
    time = time_of(event_id)
    return time - time % MINUTE


def runs(events: Sequence[Event], unit: int) -> Iterator[tuple[int, Sequence[Event]]]:
    """Neighbours of one day or minute: how many units since 1970, and the events.

    Nearly always a batch is one run, which its least and greatest ids tell: 0.2 µs an event less.
    """
    if not events:
        return
    ids = [event.id for event in events]
    first, last = time_of(min(ids)) // unit, time_of(max(ids)) // unit
    if first == last:
        yield first, events
        return
    for number, run in groupby(events, lambda event: time_of(event.id) // unit):
        yield number, list(run)


def first_id_of_day(day: int) -> bytes:
    """The least id of a day."""
    return first_id(day * DAY)
