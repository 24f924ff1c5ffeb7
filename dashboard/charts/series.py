"""Rollup counts as series: events a second per source, and what is not known left out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from eventhub.store.contract import Count, StoredGap, Window

__all__ = ["MINUTE", "Series", "rates_by_source", "sum_by_step"]

MINUTE: Final = 60_000
SECOND: Final = 1000
SHOWN: Final = 6


class Series(msgspec.Struct, frozen=True):
    name: str
    values: list[float | None]
    """Events a second; None where nothing can be said (a gap, or before the first event)."""


def sum_by_step(counts: Iterable[Count], window: Window, step: int) -> dict[int, dict[int, int]]:
    """source id -> step number -> events."""
    sums: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in counts:
        if window.start <= row.minute < window.end:
            sums[row.source_id][(row.minute - window.start) // step] += row.events
    return sums


def rates_by_source(
    counts: Sequence[Count],
    gaps: Sequence[StoredGap],
    window: Window,
    step: int,
    *,
    names: dict[int, str],
    known_since: dict[int, int],
) -> list[Series]:
    """The six busiest sources, busiest first, and the sum of all others.

    `window.start` is a multiple of a minute, `step` of milliseconds too; `known_since` tells from
    when (ms) a source has been observed: before it, no events is no statement.
    """
    sums = sum_by_step(counts, window, step)
    steps = -(-(window.end - window.start) // step)
    holes = _holes(gaps, window, step)
    order = sorted(sums, key=lambda source: (-sum(sums[source].values()), source))
    order = [source for source in order if source in names]

    def values(source: int) -> list[float | None]:
        since = known_since.get(source, window.start)
        row = sums[source]
        found: list[float | None] = []
        for number in range(steps):
            # The step in which observing began counts with the part that was observed.
            ended = window.start + (number + 1) * step
            observed = max(min(step, ended - since), SECOND)
            known = ended > since and number not in holes.get(source, ())
            events = row.get(number, 0)
            found.append(events * SECOND / observed if events or known else None)
        return found

    series = [Series(names[source], values(source)) for source in order[:SHOWN]]
    if rest := order[SHOWN:]:
        series.append(Series("other", _sum([values(source) for source in rest])))
    return series


def _holes(gaps: Sequence[StoredGap], window: Window, step: int) -> dict[int, set[int]]:
    """Steps that a gap of a source covers wholly or in part."""
    holes: dict[int, set[int]] = defaultdict(set)
    for stored in gaps:
        started = max(stored.gap.started, window.start)
        ended = min(stored.gap.ended, window.end - 1)
        holes[stored.source_id].update(
            range((started - window.start) // step, (ended - window.start) // step + 1)
        )
    return holes


def _sum(rows: list[list[float | None]]) -> list[float | None]:
    return [
        sum(value for value in column if value is not None)
        if any(value is not None for value in column)
        else None
        for column in zip(*rows, strict=True)
    ]
