"""What every page's frame needs: where the reader is, and how many sources are up."""

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
    now = timezone.now()
    rows = Source.objects.filter(desired=Source.Desired.RUNNING).values_list(
        "status__state", "status__heartbeat"
    )
    return Chrome(pages, up=sum(is_up(*row, now) for row in rows), total=len(rows))
