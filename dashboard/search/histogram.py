"""How many events match over time, from the rollups alone."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from dashboard.search.rows import busiest_types
from eventhub.events.event import Event
from eventhub.events.identity import first_id
from eventhub.query.predicate import predicate
from eventhub.query.tree import And, Everything, Is, Node, Not, Or, Words
from eventhub.store.contract import Count, StoredGap, Window

__all__ = ["Bar", "Histogram", "histogram", "is_countable"]

_MINUTE: Final = 60_000
_STEPS: Final = tuple(
    minutes * _MINUTE for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 180, 360, 720, 1440, 10080)
)
_MOST_BARS: Final = 80
_COUNTED: Final = frozenset({"source", "destination", "type", "time"})
HEIGHT: Final = 96


class Piece(msgspec.Struct, frozen=True):
    """One type's share of a bar, in the units of the drawing."""

    colour: int
    y: float
    height: float


class Bar(msgspec.Struct, frozen=True):
    start: int
    end: int
    events: int
    pieces: list[Piece]
    x: float
    width: float
    words: str


class Histogram(msgspec.Struct, frozen=True):
    """In a box of 1000 by HEIGHT."""

    bars: list[Bar]
    total: int
    step: int
    types: list[tuple[str, int, int]]
    """(type, colour, events), the busiest first; colour 0 is all others together."""
    gaps: list[tuple[float, float]]
    """(x, width)"""
    unkept: float
    """Width of the beginning of the window of which nothing is kept."""

    @property
    def names(self) -> list[str]:
        return [name for name, colour, _ in self.types if colour]


def is_countable(tree: Node) -> bool:
    """Whether the rollups know all that the query asks: source, destination, type and time."""
    match tree:
        case Everything():
            return True
        case And(parts) | Or(parts):
            return all(map(is_countable, parts))
        case Not(part):
            return is_countable(part)
        case Words() | Is():
            return False
    return tree.field[0] in _COUNTED


def histogram(
    tree: Node,
    counts: Sequence[Count],
    gaps: Sequence[StoredGap],
    window: Window,
    *,
    sources: Mapping[int, str],
    now: int,
    oldest: int | None,
) -> Histogram:
    """Bars on whole steps: the first and the last may reach over the window's ends. `oldest` is
    the time of the oldest event that is kept."""
    step = next(
        (step for step in _STEPS if (window.end - window.start) / step <= _MOST_BARS), _STEPS[-1]
    )
    start = window.start - window.start % step
    length = window.end + (-window.end) % step - start
    by_step, by_type = _sums(counts, _matcher(tree, sources, now), start, step)
    names = busiest_types(by_type.items())
    ranks = {name: rank for rank, name in enumerate(names, 1)}
    most = max((sum(types.values()) for types in by_step.values()), default=1)
    bars = [
        _bar(number, by_step[number], ranks, most, start, step, length)
        for number in sorted(by_step)
    ]
    total = sum(by_type.values())
    types = [(name, ranks[name], by_type[name]) for name in names]
    if rest := total - sum(events for _, _, events in types):
        types.append(("other", 0, rest))
    kept_from = window.end if oldest is None else oldest - oldest % step
    unkept = round(min(max((kept_from - start) / length, 0.0), 1.0) * 1000, 2)
    return Histogram(bars, total, step, types, _gap_spans(gaps, start, length), unkept)


def _matcher(tree: Node, sources: Mapping[int, str], now: int) -> Callable[[Count], bool]:
    test = predicate(tree, sources=sources, now=now)

    def matches(row: Count) -> bool:
        return row.source_id in sources and test(
            Event(
                id=first_id(row.minute),
                source_id=row.source_id,
                destination=row.destination,
                payload=b"",
                payload_size=0,
                type=row.type or None,
            )
        )

    return matches


def _sums(
    counts: Sequence[Count], matches: Callable[[Count], bool], start: int, step: int
) -> tuple[dict[int, dict[str, int]], dict[str, int]]:
    by_step: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_type: dict[str, int] = defaultdict(int)
    for row in counts:
        if matches(row):
            by_step[(row.minute - start) // step][row.type] += row.events
            by_type[row.type] += row.events
    return by_step, by_type


def _bar(
    number: int,
    types: Mapping[str, int],
    ranks: Mapping[str, int],
    most: int,
    start: int,
    step: int,
    length: int,
) -> Bar:
    events = sum(types.values())
    shares: dict[int, int] = defaultdict(int)
    for name, share in types.items():
        shares[ranks.get(name, 0)] += share
    pieces, y = [], float(HEIGHT)
    for colour in sorted(shares, key=lambda rank: rank or 99):
        height = shares[colour] / most * (HEIGHT - 2)
        y -= height
        pieces.append(Piece(colour, round(y, 2), round(height, 2)))
    across = step / length * 1000
    biggest = sorted(types.items(), key=lambda item: -item[1])[:4]
    return Bar(
        start=start + number * step,
        end=start + (number + 1) * step,
        events=events,
        pieces=pieces,
        x=round(number * across, 2),
        width=round(across * 0.92, 2),
        words=", ".join(f"{(name or 'no type')[:40]} {share}" for name, share in biggest),
    )


def _gap_spans(gaps: Sequence[StoredGap], start: int, length: int) -> list[tuple[float, float]]:
    spans = []
    for stored in gaps:
        left = max((stored.gap.started - start) / length, 0.0)
        right = min((stored.gap.ended - start) / length, 1.0)
        spans.append((round(left * 1000, 2), round(max(right - left, 0.003) * 1000, 2)))
    return spans
