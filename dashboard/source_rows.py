"""The rows of the Sources page: how each source fares, most urgent first."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from dashboard.charts.series import MINUTE
from dashboard.condition import URGENCY, Condition, condition_of
from eventhub.brokers.contract import Adapter, Mode, ReadSafety
from eventhub.brokers.errors import BrokerError
from eventhub.sources.models import Source
from eventhub.store.contract import Count, EventReader, StoredGap, Window

__all__ = ["GAP_DAYS", "SAFETY", "Row", "Summary", "adapter_of", "rows", "summary"]

GAP_DAYS: Final = 7
_LAST_EVENT_MINUTES: Final = 60
_DAY: Final = 86_400_000
_MOST_GAPS: Final = 1000

SAFETY: Final = {
    ReadSafety.HARMLESS: ("ok", "shield"),
    ReadSafety.ADDS_A_BOUNDED_QUEUE: ("warn", "box"),
    ReadSafety.SLOWS_THE_BROKER: ("bad", "clock"),
    ReadSafety.TAKES_MESSAGES: ("bad", "take"),
}
"""Tone and drawing of a read safety."""


class Row(msgspec.Struct, frozen=True):
    source: Source
    title: str
    """The kind's own name; the bare kind when its adapter is not installed."""
    address: str
    mode: Mode | None
    condition: Condition
    last_event: int | None
    """Start of the last minute with events, of the last hour."""
    last_gap: StoredGap | None
    retry_in: int | None
    """Milliseconds until the collector tries again; 0 when it is due."""
    gaps_known_for: int | None
    """Milliseconds without a gap that are certain; None: all of GAP_DAYS."""

    @property
    def safety(self) -> tuple[str, str]:
        assert self.mode is not None
        return SAFETY[self.mode.safety]

    @property
    def reason(self) -> str:
        """The condition's reason as a sentence."""
        text = self.condition.reason.strip()
        return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""

    @property
    def gap_length(self) -> int:
        assert self.last_gap is not None
        return self.last_gap.gap.ended - self.last_gap.gap.started

    @property
    def searched(self) -> str:
        """What a filter looks into."""
        source = self.source
        return f"{source.name} {source.kind} {self.title} {source.environment} {self.address}"


class Summary(msgspec.Struct, frozen=True):
    """The statement of the page: counts of all sources, filtered or not."""

    total: int
    up: int
    takes: int
    others: list[tuple[str, str]]
    """(tone, "2 failed") for states other than up, most urgent first."""


def rows(
    reader: EventReader, sources: Sequence[Source], now: datetime, order: Sequence[str] = ()
) -> list[Row]:
    """Most urgent first; or those named by `order` as they are there, and the others after them.

    Two reads of the store, however many sources there are.
    """
    ids = [source.pk for source in sources]
    moment = int(now.timestamp() * 1000)
    recent = Window(moment - _LAST_EVENT_MINUTES * MINUTE, moment + MINUTE)
    counts = reader.counts(recent, sources=ids)
    gaps = reader.gaps(Window(moment - GAP_DAYS * _DAY, moment), sources=ids)
    last_events = _last_events(counts)
    last_gaps = {stored.source_id: stored for stored in reversed(gaps)}
    cut = len(gaps) >= _MOST_GAPS
    known_for = moment - gaps[-1].gap.ended if cut else None
    found = [
        _row(source, now, last_events, last_gaps.get(source.pk), known_for) for source in sources
    ]
    kept = {name: place for place, name in enumerate(order)}
    return sorted(
        found,
        key=lambda row: (
            kept.get(row.source.name, len(kept)),
            URGENCY[row.condition.tone],
            row.condition.word,
            row.source.name,
        ),
    )


def summary(found: Iterable[Row]) -> Summary:
    listed = list(found)
    states = Counter((row.condition.tone, row.condition.word) for row in listed)
    others = sorted(
        ((tone, f"{number} {word}") for (tone, word), number in states.items() if tone != "ok"),
        key=lambda state: URGENCY[state[0]],
    )
    return Summary(
        total=len(listed),
        up=sum(row.condition.tone == "ok" for row in listed),
        takes=sum(
            row.mode is not None and row.mode.safety is ReadSafety.TAKES_MESSAGES for row in listed
        ),
        others=others,
    )


def _row(
    source: Source,
    now: datetime,
    last_events: dict[int, int],
    last_gap: StoredGap | None,
    known_for: int | None,
) -> Row:
    condition = condition_of(source, now)
    adapter = adapter_of(source)
    return Row(
        source=source,
        title=adapter.title if adapter else source.kind,
        address=_address(adapter, source),
        mode=source.mode if adapter else None,
        condition=condition,
        last_event=last_events.get(source.pk),
        last_gap=last_gap,
        retry_in=_until(condition.retry_at, now),
        gaps_known_for=known_for,
    )


def _until(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, int((moment - now).total_seconds() * 1000))


def adapter_of(source: Source) -> Adapter[Any] | None:
    """None where the kind is unknown here, or its client library is not installed."""
    try:
        return source.adapter
    except BrokerError:
        return None


def _address(adapter: Adapter[Any] | None, source: Source) -> str:
    if adapter is None:
        return ""
    # Without validation: a page shows where a source points even when its settings are outdated,
    # and without opening its secrets.
    config = adapter.config.model_construct(None, **source.config)
    try:
        return config.address()
    except (AttributeError, TypeError):
        return ""


def _last_events(counts: Iterable[Count]) -> dict[int, int]:
    last: dict[int, int] = {}
    for count in counts:
        last[count.source_id] = max(count.minute, last.get(count.source_id, 0))
    return last
