"""Counts by minute, destination and type, of which there are never too many."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from eventhub.events.event import Event
from eventhub.store.relational.days import MINUTE, runs

__all__ = ["OTHER", "Place", "Rollups", "Sum"]

PAIRS: Final = 500
"""Destinations and types of one source told apart in one minute."""
LONGEST: Final = 200
"""Characters of a type or destination that are kept."""
OTHER: Final = "other"
"""Stands for every type, then also every destination, beyond PAIRS."""


class Place(NamedTuple):
    source_id: int
    minute: int
    destination: str
    type: str


class Sum(NamedTuple):
    events: int
    size: int


Pair = tuple[str, str]


class Rollups:
    """Sums batches. It remembers which pairs the newest minute of each source has."""

    def __init__(self) -> None:
        self._newest: dict[int, tuple[int, set[Pair]]] = {}

    def sums(self, events: Sequence[Event]) -> dict[Place, Sum]:
        sums: dict[Place, Sum] = {}
        for number, run in runs(events, MINUTE):
            minute = number * MINUTE
            sizes: defaultdict[tuple[int, str, str | None], list[int]] = defaultdict(list)
            for event in run:
                sizes[event.source_id, event.destination, event.type].append(event.payload_size)
            for (source_id, destination, type_), found in sizes.items():
                pair = self._pair(source_id, minute, destination[:LONGEST], (type_ or "")[:LONGEST])
                before = sums.get(place := Place(source_id, minute, *pair), Sum(0, 0))
                sums[place] = Sum(before.events + len(found), before.size + sum(found))
        return sums

    def _pair(self, source_id: int, minute: int, destination: str, type_: str) -> Pair:
        newest, known = self._newest.get(source_id, (-1, set()))
        if minute != newest:
            known = set()
            self._newest[source_id] = minute, known
        for pair, room in (
            ((destination, type_), PAIRS),
            ((destination, OTHER), 2 * PAIRS),
        ):
            if pair in known or len(known) < room:
                known.add(pair)
                return pair
        return OTHER, OTHER
