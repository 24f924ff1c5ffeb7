"""What every page's frame needs: where the reader is, and how many sources are up."""

from collections import Counter
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from dashboard.condition import is_up
from eventhub.sources.models import Source

__all__ = ["Chrome", "Page", "chrome"]


class Page(NamedTuple):
    title: str
    url: str
    letter: str
    """Pressed after `g`, it leads here."""
    current: bool


class Chrome(NamedTuple):
    pages: list[Page]
    up: int
    total: int
    """Sources that should be running."""

    @property
    def down(self) -> int:
        return self.total - self.up

    @property
    def tone(self) -> str:
        return "ok" if self.up == self.total else "warn"


# URL names that belong to a page, beside its own.
_PAGES = (
    ("Overview", "overview", "o", ()),
    ("Live", "live", "l", ()),
    ("History", "history", "h", ("event",)),
    ("Sources", "sources", "s", ("source",)),
)


def chrome(request: HttpRequest) -> dict[str, Any]:
    """One query, and only for templates that draw the frame: parts of pages never pay for it."""
    return {"chrome": SimpleLazyObject(lambda: _chrome(request))}


def _chrome(request: HttpRequest) -> Chrome:
    if not (hasattr(request, "user") and request.user.is_authenticated):
        return Chrome([], 0, 0)
    match = request.resolver_match
    here = (match.url_name or "") if match else ""
    pages = [
        Page(title, reverse(name), letter, here == name or here.split("-")[0] in family)
        for title, name, letter, family in _PAGES
    ]
    wanted, up = _collectors()
    return Chrome(
        pages, up=sum(up[pk] == shares for pk, shares in wanted.items()), total=len(wanted)
    )


def _collectors() -> tuple[dict[int, int], Counter[int]]:
    """Of each source that should be running, how many collectors there should be and are up."""
    now = timezone.now()
    wanted: dict[int, int] = {}
    up: Counter[int] = Counter()
    rows = Source.objects.filter(desired=Source.Desired.RUNNING).values_list(
        "pk", "shares", "statuses__share", "statuses__state", "statuses__heartbeat"
    )
    for pk, shares, share, state, heartbeat in rows:
        wanted[pk] = shares
        up[pk] += is_up(state, heartbeat, now) and share < shares
    return wanted, up
