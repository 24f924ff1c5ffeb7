"""Overview: what flows where, what is missing, and who needs a person."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from dashboard.attention import Item, attention
from dashboard.charts.rates import rates_figure
from dashboard.charts.series import MINUTE, Series, rates_by_source
from dashboard.charts.spark import HEIGHT, WIDTH, Spark, spark
from dashboard.condition import URGENCY, Condition, condition_of
from dashboard.flows import busiest
from eventhub.sources.models import Source
from eventhub.store.contract import EventReader, StoredGap, Window
from eventhub.store.engine import open_reader

__all__ = ["chart", "overview", "part"]

HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WINDOWS: Final = {
    "15m": ("15 min", 15 * MINUTE, MINUTE),
    "1h": ("1 h", HOUR, MINUTE),
    "24h": ("24 h", DAY, 5 * MINUTE),
    "7d": ("7 d", 7 * DAY, 30 * MINUTE),
}
"""URL value -> its words, length and the step of a point, in milliseconds."""

FLOWS: Final = 15 * MINUTE
"""How far back the table of destinations counts."""


class Row(msgspec.Struct, frozen=True):
    """One source in the table."""

    source: Source
    condition: Condition
    spark: Spark
    gaps: list[StoredGap]

    @property
    def gap_length(self) -> int:
        return sum(stored.gap.ended - stored.gap.started for stored in self.gaps)


def overview(request: HttpRequest) -> HttpResponse:
    reader = open_reader()
    kept = reader.extent()
    window = _window(request, oldest=kept[1])
    return render(
        request,
        "overview.html",
        {
            **_state(reader, kept),
            "window": window,
            "windows": [(value, words) for value, (words, _, _) in WINDOWS.items()],
        },
    )


def part(request: HttpRequest) -> HttpResponse:
    """Everything that changes by itself, to be put in place every few seconds."""
    reader = open_reader()
    return render(request, "_overview_parts.html", {**_state(reader, reader.extent()), "oob": True})


def chart(request: HttpRequest) -> HttpResponse:
    """The figure as JSON, or its table."""
    now = _now()
    reader = open_reader()
    _, length, step = WINDOWS[_window(request, oldest=reader.extent()[1])]
    end = now - now % step
    window = Window(end - length, end)
    sources = list(_sources())
    names = {source.pk: source.name for source in sources}
    gaps = reader.gaps(window, sources=list(names))
    known_since = {source.pk: _milliseconds(source.created) for source in sources}
    series = rates_by_source(
        reader.counts(window, sources=list(names), step=step, by_source=True),
        gaps,
        window,
        step,
        names=names,
        known_since=known_since,
    )
    if request.GET.get("as") == "table":
        return render(request, "_rates_table.html", _table(series, gaps, window, step, names))
    observed_from = min(known_since.values(), default=None)
    figure = rates_figure(series, gaps, window, step, names=names, observed_from=observed_from)
    return JsonResponse({**figure, "words": _words(series, gaps)})


def _sources() -> QuerySet[Source]:
    return Source.objects.exclude(desired=Source.Desired.DELETED)


def _now() -> int:
    return _milliseconds(datetime.now(UTC))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _window(request: HttpRequest, *, oldest: int | None) -> str:
    chosen = request.GET.get("window", "")
    if chosen in WINDOWS:
        return chosen
    age = 0 if oldest is None else _now() - oldest
    if age < 20 * MINUTE:
        return "15m"
    return "1h" if age < 6 * HOUR else "24h"


def _state(reader: EventReader, kept: tuple[int, int | None]) -> dict[str, Any]:
    sources = list(_sources().prefetch_related("statuses"))
    now = timezone.now()
    rows = _rows(reader, sources, now)
    up = [row for row in rows if row.condition.tone == "ok"]
    stored_within = [row.condition.stored_within for row in up]
    flows = Window(_milliseconds(now) - FLOWS, _milliseconds(now) + MINUTE)
    names = {source.pk: source.name for source in sources}
    items: list[Item] = attention([(row.source, row.condition, row.gaps) for row in rows], now)
    return {
        "rows": rows,
        "items": items,
        "flows": busiest(reader.counts(flows, sources=list(names)), names),
        "running": sum(source.desired == Source.Desired.RUNNING for source in sources),
        "up": len(up),
        "rate": sum(row.condition.rate or 0.0 for row in rows),
        "kept": kept[0],
        "oldest": kept[1],
        "stored_within": max((ms for ms in stored_within if ms is not None), default=None),
        "gaps": sum(len(row.gaps) for row in rows),
        "spark_box": f"0 0 {WIDTH} {HEIGHT}",
        "spark_height": HEIGHT,
    }


def _rows(reader: EventReader, sources: list[Source], now: datetime) -> list[Row]:
    ids = [source.pk for source in sources]
    moment = _milliseconds(now)
    this_minute = moment - moment % MINUTE
    hour = Window(this_minute - HOUR, this_minute)
    counts = reader.counts(Window(hour.start, this_minute + MINUTE), sources=ids, by_source=True)
    gaps = reader.gaps(Window(moment - DAY, moment), sources=ids)
    lines: dict[str, Series] = {}
    for source in sources:
        (line,) = rates_by_source(
            [row for row in counts if row.source_id == source.pk],
            [stored for stored in gaps if stored.source_id == source.pk],
            hour,
            MINUTE,
            names={source.pk: source.name},
            known_since={source.pk: _milliseconds(source.created)},
        ) or [Series(source.name, [])]
        lines[source.name] = line
    rows = []
    for source in sources:
        rows.append(
            Row(
                source,
                condition_of(source, now),
                spark(lines[source.name].values),
                [stored for stored in gaps if stored.source_id == source.pk],
            )
        )
    return sorted(rows, key=lambda row: (URGENCY[row.condition.tone], row.source.name))


def _words(series: list[Series], gaps: list[StoredGap]) -> str:
    """The chart for those who do not see it."""
    parts = []
    for one in series:
        known = [value for value in one.values if value is not None]
        if known:
            parts.append(f"{one.name} between {min(known):.1f} and {max(known):.1f}")
    missing = f" {len(gaps)} gaps are hatched." if gaps else " No gaps."
    return f"Events per second: {'; '.join(parts) or 'none in this window'}.{missing}"


def _table(
    series: list[Series], gaps: list[StoredGap], window: Window, step: int, names: dict[int, str]
) -> dict[str, Any]:
    steps = range((window.end - window.start) // step)
    return {
        "names": [one.name for one in series],
        "lines": [
            (window.start + n * step, [one.values[n] for one in series]) for n in reversed(steps)
        ],
        "gaps": [(stored, names[stored.source_id]) for stored in gaps],
    }
