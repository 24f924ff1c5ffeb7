"""One client's screen: what matched since it last looked, counted exactly and sampled fairly.

A screen never grows: it keeps numbers, and rows for about two seconds of drawing. A client that
looks rarely gets one slice for the whole time, with exact counts and no more rows than another.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from eventhub.live.rows import Row, clip, row_of
from eventhub.live.sampling import fair_shares, spread

__all__ = [
    "DRAW_BUDGET",
    "MOST_CAUGHT_UP",
    "Hole",
    "Matched",
    "Screen",
    "Slice",
    "SourceGap",
    "match",
]

DRAW_BUDGET: Final = 120
"""Rows a second that one screen gets. A burst of as many passes whole."""
MOST_TYPES: Final = 100
"""Types counted by name in one slice; a producer may send a new type with every message."""
MOST_GAPS: Final = 50
MOST_CAUGHT_UP: Final = 1_000
"""Rows that a page is brought at once when it comes back; the history has the rest."""

Stratum = tuple[str, str | None]
"""Source and type: what takes turns in the sample."""


class Matched(msgspec.Struct, frozen=True):
    """What one filter found in one frame; shared by all the screens with that filter."""

    source: str
    ids: list[bytes]
    types: dict[str | None, int]
    rows: dict[str | None, list[Row]]
    """A fair sample of at most DRAW_BUDGET rows, by type."""


class Hole(msgspec.Struct, frozen=True):
    """A span that this screen does not show, though the history has it (unlike a gap)."""

    start: int
    end: int
    reason: str
    events: int | None = None
    """How many events at most, where that is known."""
    source: str | None = None


class SourceGap(msgspec.Struct, frozen=True):
    source: str
    gap: Gap


class Slice(msgspec.Struct, frozen=True):
    """What a screen gets at once. Times in milliseconds since 1970."""

    start: int
    end: int
    passed: int
    """Events observed, whatever the filter."""
    matched: int
    unchecked: int
    """Events whose payload was too long to be looked into at this rate."""
    types: list[tuple[str | None, int]]
    other_types: int
    events: list[Row]
    again: list[Row]
    """Caught up, from before the cursor: new only to a page that has not seen them."""
    gaps: list[SourceGap]
    holes: list[Hole]


def match(events: list[Event], source: str) -> Matched:
    """Count and sample the events of one source that a filter let through."""
    by_type: dict[str | None, list[Event]] = {}
    for event in events:
        by_type.setdefault(event.type, []).append(event)
    shares = fair_shares([len(group) for group in by_type.values()], DRAW_BUDGET)
    types: dict[str | None, int] = {}
    rows: dict[str | None, list[Row]] = {}
    for (kind, group), share in zip(by_type.items(), shares, strict=True):
        name = clip(kind)
        types[name] = types.get(name, 0) + len(group)
        if share:
            rows.setdefault(name, []).extend(
                row_of(event, source) for event in spread(group, share)
            )
    return Matched(source, [event.id for event in events], types, rows)


class Screen:
    def __init__(self, now: int) -> None:
        self._start = now
        self._allowance = float(DRAW_BUDGET)
        self._turns: dict[Stratum, int] = {}
        self._slices = 0
        self._clear()

    def _clear(self) -> None:
        self._passed = 0
        self._matched = 0
        self._unchecked = 0
        self._types: dict[str | None, int] = {}
        self._other_types = 0
        self._rows: dict[Stratum, list[Row]] = {}
        self._kept = 0
        self._caught_up: list[Row] = []
        self._again: list[Row] = []
        self._gaps: list[SourceGap] = []
        self._holes: list[Hole] = []

    @property
    def has_news(self) -> bool:
        counted = self._passed or self._matched or self._unchecked
        return bool(counted or self._again or self._gaps or self._holes)

    def passed(self, events: int) -> None:
        """Note events observed, whether they match or not."""
        self._passed += events

    def unchecked(self, events: int) -> None:
        self._unchecked += events

    def add(self, matched: Matched) -> None:
        for name, count in matched.types.items():
            self._count(name, count)
        for name, rows in matched.rows.items():
            self._rows.setdefault((matched.source, name), []).extend(rows)
            self._kept += len(rows)
        if self._kept > 2 * DRAW_BUDGET:
            self._thin(DRAW_BUDGET)

    def catch_up(self, rows: list[Row], again: list[Row]) -> None:
        """Rows from the store, `MOST_CAUGHT_UP` at most, beside the drawing budget."""
        for row in rows:
            self._count(row.type, 1)
        self._caught_up = [*self._caught_up, *rows][-MOST_CAUGHT_UP:]
        self._again = [*self._again, *again][-MOST_CAUGHT_UP:]

    def _count(self, name: str | None, count: int) -> None:
        self._matched += count
        if name in self._types or len(self._types) < MOST_TYPES:
            self._types[name] = self._types.get(name, 0) + count
        else:
            self._other_types += count

    def add_gaps(self, source: str, gaps: Iterable[Gap]) -> None:
        self._gaps = [*self._gaps, *(SourceGap(source, gap) for gap in gaps)][-MOST_GAPS:]

    def add_hole(self, hole: Hole) -> None:
        self._holes = [*self._holes, hole][-MOST_GAPS:]

    def cut(self, now: int) -> Slice:
        """Everything since the last cut; rows oldest first. The screen starts afresh."""
        seconds = max(0, now - self._start) / 1000
        self._allowance = min(float(DRAW_BUDGET), self._allowance + seconds * DRAW_BUDGET)
        self._thin(int(self._allowance))
        self._allowance -= self._kept
        self._remember_turns()
        rows = sorted(
            (row for rows in (*self._rows.values(), self._caught_up) for row in rows),
            key=lambda row: row.id,
        )
        piece = Slice(
            self._start, max(now, self._start), self._passed, self._matched, self._unchecked,
            list(self._types.items()), self._other_types, rows, self._again, self._gaps,
            self._holes,
        )  # fmt: skip
        self._start = piece.end
        self._clear()
        return piece

    def _thin(self, room: int) -> None:
        waited_longest_first = sorted(
            self._rows.items(), key=lambda item: self._turns.get(item[0], 0)
        )
        shares = fair_shares([len(rows) for _, rows in waited_longest_first], room)
        self._rows = {
            stratum: spread(rows, share)
            for (stratum, rows), share in zip(waited_longest_first, shares, strict=True)
            if share
        }
        self._kept = sum(map(len, self._rows.values()))

    def _remember_turns(self) -> None:
        self._slices += 1
        if len(self._turns) > 10 * MOST_TYPES:
            self._turns.clear()
        for stratum in self._rows:
            self._turns[stratum] = self._slices
