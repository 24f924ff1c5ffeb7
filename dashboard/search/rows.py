"""One page of a search as rows: events, and gaps where they happened."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from dashboard.search.matches import Parts, mark
from eventhub.events.event import Event, Flag
from eventhub.events.payload import preview
from eventhub.live.rows import clip
from eventhub.store.contract import Page, StoredGap

__all__ = ["EventRow", "GapRow", "busiest_types", "colours", "rows_of"]

_LOOKED_THROUGH: Final = 64 * 1024
"""Bytes of a payload in which a match beyond the preview is looked for."""
_LONGEST_PREVIEW: Final = 240
_CONTEXT: Final = 60
"""Characters of a preview that every screen has room for."""
_COLOURS: Final = 6
_LONGEST_COLOURED: Final = 80
"""Types travel in the address of the next page; a type of 1 MB does not."""


class EventRow(msgspec.Struct, frozen=True):
    id: str
    time: int
    type: str | None
    colour: int
    """1 to 6; 0 for other."""
    source: str
    destination: str
    key: str | None
    preview: Parts
    size: int
    cut: bool
    binary: bool
    redelivered: bool


class GapRow(msgspec.Struct, frozen=True):
    source: str
    stored: StoredGap


def rows_of(
    page: Page,
    gaps: Sequence[StoredGap],
    *,
    newest: int | None,
    sources: Mapping[int, str],
    colours: Mapping[str, int],
    marks: re.Pattern[str] | None,
) -> list[EventRow | GapRow]:
    """Newest first. `newest` is the time (ms) below which this page begins, None for the first:
    each gap is on the one page that spans its end."""
    mine = [
        stored
        for stored in gaps
        if stored.gap.ended >= page.searched_back_to
        and (newest is None or stored.gap.ended < newest)
    ]
    entries: list[tuple[int, int, EventRow | GapRow]] = [
        (stored.gap.ended, 1, GapRow(sources.get(stored.source_id, "?"), stored)) for stored in mine
    ]
    entries += [
        (event.time, 0, _row(event, sources.get(event.source_id, "?"), colours, marks))
        for event in page.events
    ]
    # Stable: events of one millisecond keep the order of the search.
    return [row for _, _, row in sorted(entries, key=lambda entry: (-entry[0], -entry[1]))]


def busiest_types(weighted: Iterable[tuple[str | None, int]]) -> list[str]:
    """The types that get a colour of their own, most events first."""
    totals: Counter[str] = Counter()
    for name, weight in weighted:
        if name and len(name) <= _LONGEST_COLOURED:
            totals[name] += weight
    return [name for name, _ in totals.most_common(_COLOURS)]


def colours(types: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(types[:_COLOURS], 1)}


def _row(
    event: Event, source: str, colours: Mapping[str, int], marks: re.Pattern[str] | None
) -> EventRow:
    return EventRow(
        id=event.uuid,
        time=event.time,
        type=clip(event.type),
        colour=colours.get(event.type or "", 0),
        source=source,
        destination=clip(event.destination),
        key=clip(event.key),
        preview=mark(_passage(event, marks), marks),
        size=event.payload_size,
        cut=bool(event.flags & Flag.TRUNCATED),
        binary=bool(event.flags & Flag.BINARY),
        redelivered=bool(event.flags & Flag.REDELIVERED) or event.redeliveries > 0,
    )


def _passage(event: Event, marks: re.Pattern[str] | None) -> str:
    """The beginning of the payload; where the match is further on, the text around it."""
    beginning = preview(event.payload, _LONGEST_PREVIEW)
    if marks is None or event.flags & Flag.BINARY or marks.search(beginning[:_CONTEXT]):
        return beginning
    text = event.payload[:_LOOKED_THROUGH].decode("utf-8", "ignore")
    found = marks.search(text)
    if found is None or found.start() < _CONTEXT:
        return beginning
    around = text[found.start() - _CONTEXT // 2 : found.end() + 2 * _CONTEXT]
    return f"…{preview(around.encode(), _LONGEST_PREVIEW)}"
