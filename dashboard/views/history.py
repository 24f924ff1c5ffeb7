"""History: any past event, newest first, with what is missing and how far was looked."""

import time
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dashboard.event_view import EventView, find_event, visible_sources
from dashboard.search.asked import WINDOWS, Asked, read_address
from dashboard.search.histogram import Histogram, histogram, is_countable
from dashboard.search.matches import mark_pattern
from dashboard.search.rows import EventRow, GapRow, busiest_types, colours, rows_of
from dashboard.search.scope import sources_in_scope
from eventhub.events.identity import time_of
from eventhub.query.describe import describe
from eventhub.store.contract import EventReader, Page, StoredGap
from eventhub.store.engine import open_reader

__all__ = ["history", "rows"]

LIMIT: Final = 100
SECONDS: Final = 1.0


class Found(msgspec.Struct, frozen=True):
    """One slice of the search, ready to be shown."""

    rows: list[EventRow | GapRow]
    page: Page
    shown: int
    """Events on the reader's page with this slice."""
    seconds: float
    older: str
    """Address parameters of the next slice; empty at the end of the window."""

    @property
    def ended_early(self) -> bool:
        """The time ran out before the page was full."""
        return self.page.cursor is not None and len(self.page.events) < LIMIT


def history(request: HttpRequest) -> HttpResponse:
    asked = read_address(request.GET, _now())
    reader = open_reader()
    sources = visible_sources()
    context: dict[str, Any] = {
        "asked": asked,
        "reads_as": describe(asked.tree),
        "windows": [
            (value, words, asked.with_window(value)) for value, (words, _) in WINDOWS.items()
        ],
        "sources": sources,
        "open": _opened(request, reader, sources),
    }
    if asked.error is None:
        gaps = _gaps(asked, reader, sources)
        counted = _counted(asked, reader, gaps, sources)
        found = _search(asked, reader, gaps, sources, counted.names if counted else None, 0)
        context |= {"found": found, "histogram": counted, "gaps": gaps}
    return render(request, "history.html", context)


def rows(request: HttpRequest) -> HttpResponse:
    """The next slice: rows, and in place of the button the next button."""
    asked = read_address(request.GET, _now())
    if asked.error is not None:
        return HttpResponse(status=400)
    reader = open_reader()
    sources = visible_sources()
    gaps = _gaps(asked, reader, sources)
    shown = request.GET.get("shown", "0")
    found = _search(
        asked,
        reader,
        gaps,
        sources,
        request.GET.getlist("type")[:6],
        int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 9 else 0,
    )
    return render(request, "_history_slice.html", {"asked": asked, "found": found, "oob": True})


def _now() -> int:
    return time.time_ns() // 1_000_000


def _opened(request: HttpRequest, reader: EventReader, sources: dict[int, str]) -> EventView | None:
    chosen = request.GET.get("event", "")
    return find_event(reader, chosen, request.GET) if chosen else None


def _gaps(asked: Asked, reader: EventReader, sources: dict[int, str]) -> list[StoredGap]:
    scope = sources_in_scope(asked.tree, sources)
    return reader.gaps(asked.window, sources=sorted(scope)) if scope else []


def _counted(
    asked: Asked,
    reader: EventReader,
    gaps: list[StoredGap],
    sources: dict[int, str],
) -> Histogram | None:
    if not is_countable(asked.tree):
        return None
    counts = reader.counts(asked.window, sources=list(sources))
    _, oldest = reader.extent()
    return histogram(
        asked.tree, counts, gaps, asked.window, sources=sources, now=asked.now, oldest=oldest
    )


def _search(
    asked: Asked,
    reader: EventReader,
    gaps: list[StoredGap],
    sources: dict[int, str],
    types: list[str] | None,
    shown: int,
) -> Found:
    started = time.monotonic()
    page = reader.search(
        asked.tree,
        asked.window,
        sources=sources,
        before=asked.before,
        limit=LIMIT,
        seconds=SECONDS,
        now=asked.now,
    )
    seconds = time.monotonic() - started
    if types is None:
        types = busiest_types((event.type, 1) for event in page.events)
    found = rows_of(
        page,
        gaps,
        newest=time_of(asked.before) if asked.before else None,
        sources=sources,
        colours=colours(types),
        marks=mark_pattern(asked.tree),
    )
    shown += len(page.events)
    return Found(found, page, shown, seconds, _older(asked, page, types, shown))


def _older(asked: Asked, page: Page, types: list[str], shown: int) -> str:
    if page.cursor is None:
        return ""
    return urlencode(
        {**asked.fixed, "before": page.cursor.hex(), "shown": shown, "type": types}, doseq=True
    )
