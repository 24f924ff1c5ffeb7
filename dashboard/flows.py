"""What flows where: the busiest destinations, and which types of event they carry."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from eventhub.query.to_text import to_text
from eventhub.query.tree import And, Match
from eventhub.store.contract import Count

__all__ = ["Flow", "Flows", "busiest"]

SHOWN: Final = 12
SHOWN_TYPES: Final = 3


class Flow(msgspec.Struct, frozen=True):
    """One destination of one source, over the window that was counted."""

    source: str
    destination: str
    events: int
    size: int
    """Payload bytes."""
    types: list[tuple[str, int]]
    """The most frequent types with their events; an event without a type has ""."""
    more_types: int

    @property
    def query(self) -> str:
        """Finds its events in the history."""
        source = Match(("source",), self.source)
        return to_text(And((source, Match(("destination",), self.destination))))


class Flows(msgspec.Struct, frozen=True):
    shown: list[Flow]
    total: int
    """How many destinations there are, the busiest of which are shown."""


def busiest(counts: Iterable[Count], names: Mapping[int, str]) -> Flows:
    """`names` gives the name of each source id."""
    events: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    sizes: Counter[tuple[str, str]] = Counter()
    for row in counts:
        place = (names[row.source_id], row.destination)
        events[place][row.type] += row.events
        sizes[place] += row.size
    places = sorted(events, key=lambda place: (-events[place].total(), place))
    return Flows(
        [_flow(place, events[place], sizes[place]) for place in places[:SHOWN]], len(places)
    )


def _flow(place: tuple[str, str], types: Counter[str], size: int) -> Flow:
    source, destination = place
    most = sorted(types.items(), key=lambda item: (-item[1], item[0]))
    more = max(0, len(most) - SHOWN_TYPES)
    return Flow(source, destination, types.total(), size, most[:SHOWN_TYPES], more)
