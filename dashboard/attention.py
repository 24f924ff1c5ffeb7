"""What needs a person, most urgent first, each with its reason in words and where to go."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode

from django.urls import reverse

from dashboard.condition import Condition
from dashboard.templatetags.eventhub import count
from eventhub.sources.models import Source
from eventhub.store.contract import StoredGap

__all__ = ["Item", "attention"]

_MARGIN: Final = 60_000
"""Milliseconds of history shown on both sides of a gap."""
_URGENCY: Final = {"bad": 0, "unknown": 1, "warn": 2}


class Item(NamedTuple):
    key: str
    """Stays the same while it is the same matter: a page that refreshes compares these."""
    tone: str
    urgency: str
    source: Source
    words: str
    """Goes on after the name of the source."""
    reason: str
    since: datetime | None
    go: str
    url: str
    retry_at: datetime | None = None


def attention(
    sources: Iterable[tuple[Source, Condition, list[StoredGap]]], now: datetime
) -> list[Item]:
    items: list[Item] = []
    for source, condition, gaps in sources:
        if condition.needs_attention:
            items.append(_of_condition(source, condition))
        if gaps:
            items.append(_of_gaps(source, gaps))
    # The longest-standing first within one urgency.
    return sorted(items, key=lambda item: (_URGENCY[item.tone], item.since or now))


def _of_condition(source: Source, condition: Condition) -> Item:
    urgency = {"bad": "now", "unknown": "look", "warn": "soon"}[condition.tone]
    reason = ". ".join(
        part.rstrip(". ") for part in (condition.reason, condition.way_out) if part.strip()
    )
    return Item(
        key=f"state-{source.pk}",
        tone=condition.tone,
        urgency=urgency,
        source=source,
        words=_AS_PREDICATE.get(condition.word, f"is {condition.word}"),
        reason=reason,
        since=condition.since or source.created,
        go="See source",
        url=reverse("source", args=[source.name]),
        retry_at=condition.retry_at,
    )


_AS_PREDICATE: Final = {
    "failed": "failed and needs a person",
    "no heartbeat": "has no heartbeat",
    "no collector": "has no collector",
}


def _of_gaps(source: Source, gaps: list[StoredGap]) -> Item:
    last = max(gaps, key=lambda stored: stored.gap.ended).gap
    many = "a gap" if len(gaps) == 1 else f"{len(gaps)} gaps"
    missed = sum(stored.gap.missed or 0 for stored in gaps)
    about = f", at least {count(missed)} events missed" if missed else ""
    return Item(
        key=f"gaps-{source.pk}-{len(gaps)}",
        tone="warn",
        urgency="gap",
        source=source,
        words=f"has {many} in 24 h{about}",
        reason=last.reason if len(gaps) == 1 else f"the last: {last.reason}",
        since=datetime.fromtimestamp(last.ended / 1000, UTC),
        go="See history",
        url=f"{reverse('history')}?"
        + urlencode(
            {
                "q": f"source:{source.name}",
                "from": last.started - _MARGIN,
                "to": last.ended + _MARGIN,
            }
        ),
    )
