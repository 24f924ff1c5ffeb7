"""Sources: the list, one source beside it, and what can be done to it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dashboard.forms import fields
from dashboard.permissions import may, needs
from dashboard.source_rows import GAP_DAYS, Row, adapter_of, rows, summary
from eventhub.brokers.contract import ReadSafety
from eventhub.sources import changes
from eventhub.sources.changes import ChangeRefused
from eventhub.sources.credentials import CredentialsLocked, decrypt
from eventhub.sources.models import DepthReading, Source
from eventhub.sources.test_message import draft
from eventhub.store.contract import StoredGap, Window
from eventhub.store.engine import open_reader

__all__ = ["delete", "detail", "index", "list_context", "part", "start", "stop"]

_GAPS_SHOWN: Final = 20
_DEPTHS_SHOWN: Final = 30
_LOCKED: Final = "cannot be opened: its key is gone"
_LEGEND: Final = (
    (
        ReadSafety.HARMLESS,
        "Nothing on the broker changes: no message taken, no count raised, no offset moved.",
    ),
    (
        ReadSafety.ADDS_A_BOUNDED_QUEUE,
        "A queue of EventHub's own, limited in length and bytes, gone when unused. It never slows"
        " a producer.",
    ),
    (
        ReadSafety.SLOWS_THE_BROKER,
        "The broker works more for every message, and publishers notice. An operator switches it"
        " on, and says so here.",
    ),
    (
        ReadSafety.TAKES_MESSAGES,
        "EventHub is a consumer. Only where the broker has no other way, and only when you say so.",
    ),
)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "sources/index.html", list_context(request))


@require_safe
def part(request: HttpRequest) -> HttpResponse:
    """What changes by itself: the statement and the rows, in the order that the reader sees."""
    context = list_context(request)
    if request.GET.get("pane") == "detail":
        named = (row for row in context["all_rows"] if row.source.name == context["selected"])
        context["shown"] = next(named, None)
    return render(request, "sources/_list.html", context)


@require_safe
def detail(request: HttpRequest, name: str) -> HttpResponse:
    source = get_object_or_404(Source.objects.prefetch_related("statuses"), name=name)
    return render(request, "sources/detail.html", detail_context(request, source))


@require_POST
@needs("configure")
def start(request: HttpRequest, name: str) -> HttpResponse:
    return _change(request, name, changes.start)


@require_POST
@needs("configure")
def stop(request: HttpRequest, name: str) -> HttpResponse:
    return _change(request, name, changes.stop)


@require_POST
@needs("configure")
def delete(request: HttpRequest, name: str) -> HttpResponse:
    source = get_object_or_404(Source.objects.prefetch_related("statuses"), name=name)
    try:
        changes.delete(source, request.POST.get("typed", "").strip())
    except ChangeRefused as refusal:
        context = detail_context(request, source)
        context["delete_problem"] = str(refusal)
        return render(request, "sources/detail.html", context, status=422)
    messages.success(request, f"{name} is being removed; first its traces on the broker go.")
    return redirect("sources")


def list_context(request: HttpRequest) -> dict[str, Any]:
    """The list as every page of sources shows it: filtered by `q`, kept in the order `keep`."""
    sources = list(Source.objects.prefetch_related("statuses"))
    order = [name for name in request.GET.get("keep", "").split(",") if name]
    found = rows(open_reader(), sources, timezone.now(), order)
    words = request.GET.get("q", "").lower().split()
    match = request.resolver_match
    return {
        "rows": [row for row in found if _matches(row, words)],
        "all_rows": found,
        "summary": summary(found),
        "q": request.GET.get("q", ""),
        "legend": _LEGEND,
        "gap_days": GAP_DAYS,
        "may_configure": may(request.user, "configure"),
        "may_publish": may(request.user, "publish"),
        "selected": request.GET.get("selected", match.kwargs.get("name", "") if match else ""),
    }


def detail_context(request: HttpRequest, source: Source) -> dict[str, Any]:
    listed = list_context(request)
    adapter = adapter_of(source)
    return {
        **listed,
        "source": source,
        "row": next(row for row in listed["all_rows"] if row.source.pk == source.pk),
        "facts": _facts(source),
        "gaps": _gaps(source),
        **_depths(source),
        "draft": draft(source),
        "publishes_to": adapter.capabilities.publishes_to if adapter else "",
    }


def _matches(row: Row, words: list[str]) -> bool:
    text = row.searched.lower()
    return all(word in text for word in words)


def _change(request: HttpRequest, name: str, change: Callable[[Source], None]) -> HttpResponse:
    source = get_object_or_404(Source, name=name)
    try:
        change(source)
    except ChangeRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("source", name=name)


def _facts(source: Source) -> list[tuple[str, str, bool]]:
    """(title, text, whether a machine wrote it) of each setting; of a secret only whether it is."""
    try:
        stored = set(decrypt(source.credentials))
        locked = False
    except CredentialsLocked:
        stored, locked = set(), True
    adapter = adapter_of(source)
    if adapter is None:
        return [(name, str(value), True) for name, value in source.config.items()]
    found = []
    for field in fields(adapter.config, source.config, stored=stored).values():
        if not field.applies(source.config):
            continue
        if field.kind == "secret":
            kept = "kept encrypted" if field.stored else "none"
            found.append(
                (field.title, "cannot be opened: its key is gone" if locked else kept, False)
            )
        elif field.kind == "yes_no":
            found.append((field.title, "yes" if field.value else "no", False))
        elif field.name != "mode":
            found.append((field.title, field.value or "none", bool(field.value)))
    return found


def _depths(source: Source) -> dict[str, Any]:
    """The last look at the depths: the fullest first, dead letters before everything."""
    reading = DepthReading.objects.filter(source=source).first()
    depths = reading.depths if reading else None
    if depths is None:
        return {"depth": reading, "depths": [], "depths_more": 0}
    found = sorted(
        depths.samples,
        key=lambda each: (not (each.dead_letters and each.waiting), -(each.waiting or 0)),
    )
    more = len(found) - _DEPTHS_SHOWN
    return {
        "depth": reading,
        "depths": found[:_DEPTHS_SHOWN],
        "depths_more": max(0, more) + depths.left_out,
    }


def _gaps(source: Source) -> list[tuple[StoredGap, int]]:
    """The newest gaps, with their lengths in milliseconds."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    window = Window(now - GAP_DAYS * 86_400_000, now)
    found = open_reader().gaps(window, sources=[source.pk])[:_GAPS_SHOWN]
    return [(stored, stored.gap.ended - stored.gap.started) for stored in found]
