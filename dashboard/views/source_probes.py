"""What the Sources page asks a broker while somebody waits: a connection test, the destinations
there, a test message."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from dashboard.forms import fields, forgotten, read
from dashboard.permissions import needs
from dashboard.views.source_forms import adapter_or_404
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import Adapter, Confirmed, Destination, Refused, Step, Verdict
from eventhub.brokers.errors import BrokerError
from eventhub.sources import changes
from eventhub.sources.changes import ChangeRefused
from eventhub.sources.models import Source
from eventhub.sources.test_message import publish

__all__ = ["check", "discover", "test_message"]

LIMIT: Final = 5.0
"""Seconds that a connection test may take."""


@require_POST
@sensitive_post_parameters()
@needs("configure")
def check(request: HttpRequest, kind: str) -> HttpResponseBase:
    """The steps of a connection test, each sent as soon as it is done."""
    broker = adapter_or_404(kind)
    try:
        steps = broker.check_connection(_config(request, broker))
    except ChangeRefused as refusal:
        steps = iter([Step("Form", Verdict.FAILED, words) for words in refusal.problems.values()])
    response = StreamingHttpResponse(_stream(steps), content_type="text/html; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


@require_POST
@sensitive_post_parameters()
@needs("configure")
def discover(request: HttpRequest, kind: str) -> HttpResponse:
    broker = adapter_or_404(kind)
    context: dict[str, Any] = {"broker": broker}
    try:
        config = _config(request, broker)
        context["groups"] = _groups(broker, broker.discover(config))
    except ChangeRefused as refusal:
        context["problem"] = str(refusal)
    except BrokerError as error:
        context |= {"problem": str(error), "way_out": error.way_out}
    return render(request, "sources/_destinations.html", context)


@require_POST
@needs("publish")
def test_message(request: HttpRequest, name: str) -> HttpResponse:
    source = get_object_or_404(Source, name=name)
    payload, token = request.POST.get("payload", ""), request.POST.get("token", "")
    outcome = publish(source, request.POST.get("target", ""), payload, token)
    tone, word = {Confirmed: ("ok", "confirmed"), Refused: ("bad", "refused")}.get(
        type(outcome), ("unknown", "unknown")
    )
    found_by = f'"{token}"' if token and token in payload else "type:eventhub.test"
    query = urlencode({"q": f"source:{source.name} {found_by}"})
    context = {
        "tone": tone,
        "word": word,
        "words": outcome.detail if isinstance(outcome, Confirmed) else outcome.reason,
        "history": f"{reverse('history')}?{query}",
        "source": source,
    }
    return render(request, "sources/_outcome.html", context)


def _config(request: HttpRequest, broker: Adapter[Any]) -> BrokerConfig:
    """The form's configuration; for a stored source, with its secrets. Raises ChangeRefused."""
    name = request.POST.get("stored", "")
    stored = get_object_or_404(Source, name=name, kind=broker.kind) if name else None
    return changes.configuration(
        broker,
        read(broker.config, request.POST),
        stored=stored,
        forget=forgotten(broker.config, request.POST),
    )


async def _stream(steps: Iterator[Step]) -> AsyncIterator[str]:
    """Asynchronous, because Django buffers a synchronous stream whole under ASGI."""
    ends = asyncio.get_running_loop().time() + LIMIT
    while True:
        left = ends - asyncio.get_running_loop().time()
        try:
            step = await asyncio.wait_for(asyncio.to_thread(next, steps, None), max(left, 0.01))
        except TimeoutError:
            step = Step(
                "Time",
                Verdict.FAILED,
                f"No answer within {LIMIT:.0f} seconds.",
                "Something on the way may drop packets: check firewalls, and the port.",
                int(LIMIT * 1000),
            )
            yield _html(step)
            return
        if step is None:
            return
        yield _html(step)


def _html(step: Step) -> str:
    tone = {Verdict.OK: "ok", Verdict.WARNING: "warn", Verdict.FAILED: "bad"}[step.verdict]
    return render_to_string("sources/_step.html", {"step": step, "tone": tone})


def _groups(
    broker: Adapter[Any], found: Iterable[Destination]
) -> list[tuple[str, str, list[Destination]]]:
    """(id of the list field that takes them, its title, destinations) for each list field.

    A field says which kinds of destinations it takes with `json_schema_extra={"destinations":
    [...]}`; the first list field takes the rest.
    """
    lists = [field for field in fields(broker.config).values() if field.kind == "list"]
    if not lists:
        return []
    taken = {kind: field for field in lists for kind in field.hints.get("destinations", ())}
    groups: dict[str, list[Destination]] = {field.name: [] for field in lists}
    for destination in found:
        groups[taken.get(destination.kind, lists[0]).name].append(destination)
    return [(field.id, field.title, groups[field.name]) for field in lists if groups[field.name]]
