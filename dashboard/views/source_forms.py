"""Adding and editing a source: one form, made from its kind's configuration."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe

from dashboard.forms import Field, fields, forgotten, read
from dashboard.permissions import needs
from dashboard.source_rows import SAFETY
from dashboard.views.sources import list_context
from eventhub.brokers.contract import Adapter, Mode, StartFrom
from eventhub.brokers.errors import BrokerError
from eventhub.brokers.problems import WHOLE
from eventhub.brokers.registry import adapter, kinds
from eventhub.sources import changes
from eventhub.sources.changes import ChangeRefused
from eventhub.sources.choices import Choices
from eventhub.sources.credentials import CredentialsLocked, decrypt
from eventhub.sources.models import Source

__all__ = ["adapter_or_404", "add", "add_kind", "edit"]

_STARTS: Final = {
    StartFrom.NOW: ("now", "Only what is published from the moment it starts."),
    StartFrom.EARLIEST: ("the earliest kept", "All that the broker still has, and what follows."),
    StartFrom.TIME: ("a time", "The first message at or after a time, and what follows."),
}


class ModeChoice(NamedTuple):
    """One way of observing with what it does, and where it can start."""

    mode: Mode
    tone: str
    drawing: str
    chosen: bool
    starts: list[tuple[str, str, str, bool]]
    """value, word, what it means, whether it is chosen."""
    refused: list[tuple[str, str]]
    """word of a start that this mode does not offer, and why."""


class Kind(NamedTuple):
    """A choice of the first step. `missing` says what to install when it cannot be used yet."""

    kind: str
    title: str
    modes: tuple[Mode, ...] = ()
    missing: str = ""


@require_safe
@needs("configure")
def add(request: HttpRequest) -> HttpResponse:
    found = [_kind(kind) for kind in kinds()]
    return render(request, "sources/add.html", {**list_context(request), "kinds": found})


@sensitive_post_parameters()
@needs("configure")
def add_kind(request: HttpRequest, kind: str) -> HttpResponse:
    broker = adapter_or_404(kind)
    if request.method != "POST":
        return _form(request, broker)
    running = request.POST.get("act") == "start"
    try:
        chosen, config = _entered(request, broker, None)
        source = changes.create(kind, chosen, config, running=running)
    except ChangeRefused as refusal:
        return _form(request, broker, refused=refusal)
    words = "It starts within two seconds." if running else "It is not started yet."
    messages.success(request, f"{source.name} is added. {words}")
    return redirect("source", name=source.name)


@sensitive_post_parameters()
@needs("configure")
def edit(request: HttpRequest, name: str) -> HttpResponse:
    source = get_object_or_404(Source.objects.prefetch_related("statuses"), name=name)
    if request.method != "POST":
        return _form(request, source.adapter, source=source)
    try:
        chosen, config = _entered(request, source.adapter, source)
        changes.update(
            source,
            chosen,
            config,
            revision=int(request.POST.get("revision") or 0),
            running=request.POST.get("act") == "start",
        )
    except ChangeRefused as refusal:
        return _form(request, source.adapter, source=source, refused=refusal)
    messages.success(request, f"{name} is saved. The change takes effect within two seconds.")
    return redirect("source", name=name)


def adapter_or_404(kind: str) -> Adapter[Any]:
    if kind not in kinds():
        raise Http404(f"No broker kind is called {kind!r}.")
    try:
        return adapter(kind)
    except BrokerError as error:
        raise Http404(str(error)) from error


def _kind(kind: str) -> Kind:
    try:
        broker = adapter(kind)
    except BrokerError as error:
        return Kind(kind, kind, missing=f"{error} {error.way_out}")
    return Kind(kind, broker.title, broker.capabilities.modes)


def _entered(request: HttpRequest, broker: Adapter[Any], source: Source | None) -> Any:
    """The validated form. Raises ChangeRefused with the problems of both halves at once."""
    problems: dict[str, str] = {}
    chosen = config = None
    values = read(Choices, request.POST)
    if source is not None:
        values["name"] = source.name
        values.setdefault("start_from", source.start_from)
    try:
        chosen = changes.choices(values)
    except ChangeRefused as refusal:
        problems |= refusal.problems
    try:
        config = changes.configuration(
            broker,
            read(broker.config, request.POST),
            stored=source,
            forget=forgotten(broker.config, request.POST),
        )
    except ChangeRefused as refusal:
        problems |= refusal.problems
    if problems:
        raise ChangeRefused(problems)
    return chosen, config


def _form(
    request: HttpRequest,
    broker: Adapter[Any],
    *,
    source: Source | None = None,
    refused: ChangeRefused | None = None,
) -> HttpResponse:
    problems = refused.problems if refused else {}
    entered = request.method == "POST"
    values = read(broker.config, request.POST) if entered else (source.config if source else {})
    stored, locked = _stored_secrets(source)
    config_fields = fields(broker.config, values, problems, stored)
    choice_values = _choice_values(request, source)
    mode = config_fields.pop("mode", None)
    context = {
        **list_context(request),
        "broker": broker,
        "source": source,
        **_grouped(config_fields),
        "has_mode": mode is not None,
        "may_choose_start": source is None or not source.statuses.all(),
        "choices": fields(Choices, choice_values, problems),
        "modes": _modes(broker, mode, str(choice_values.get("start_from", "now"))),
        "starts_at_time": choice_values.get("start_from") == StartFrom.TIME,
        "mode_error": mode.error if mode else "",
        "problems": [words for words in problems.values() if words],
        "whole_problem": problems.get(WHOLE, ""),
        "locked": locked,
        "revision": request.POST.get("revision") if entered else source and source.revision,
    }
    return render(request, "sources/form.html", context, status=422 if problems else 200)


def _grouped(config_fields: Mapping[str, Field]) -> dict[str, Any]:
    """How to reach the broker, what to observe there (lists), and what few people change.

    A field asks for another place with `json_schema_extra={"group": "observe" or "more"}`.
    """
    groups: dict[str, list[Field]] = {"connection": [], "observe": [], "more": []}
    for field in config_fields.values():
        usual = "observe" if field.kind == "list" else "connection"
        groups[str(field.hints.get("group", usual))].append(field)
    return {
        "connection_fields": groups["connection"],
        "observe_fields": groups["observe"],
        "more_fields": groups["more"],
        "more_open": any(field.error for field in groups["more"]),
    }


def _choice_values(request: HttpRequest, source: Source | None) -> Mapping[str, Any]:
    kept = Choices.of(source).model_dump() if source else {}
    if request.method != "POST":
        return kept
    return {**kept, **read(Choices, request.POST)}


def _stored_secrets(source: Source | None) -> tuple[set[str], bool]:
    """Names of the secrets that are kept, and whether they can no longer be opened."""
    try:
        return (set(decrypt(source.credentials)) if source else set()), False
    except CredentialsLocked:
        return set(), True


def _modes(broker: Adapter[Any], field: Field | None, start: str) -> list[ModeChoice]:
    current = broker.capabilities.mode(field.value if field else None)
    return [_mode(mode, mode is current, start) for mode in broker.capabilities.modes]


def _mode(mode: Mode, chosen: bool, start: str) -> ModeChoice:
    kept = start if start in {each.value for each in mode.starts} else mode.starts[0].value
    tone, drawing = SAFETY[mode.safety]
    return ModeChoice(
        mode,
        tone,
        drawing,
        chosen,
        [(each.value, *_STARTS[each], chosen and each.value == kept) for each in mode.starts],
        [(_STARTS[each][0], _why_not(mode, each)) for each in StartFrom if each not in mode.starts],
    )


def _why_not(mode: Mode, start: StartFrom) -> str:
    if mode.starts == (StartFrom.NOW,):
        return (
            "This way gets a message only when it is published: there is nothing earlier to read."
        )
    if start is StartFrom.TIME:
        return "This broker cannot find a place by its time in this mode."
    return "This broker does not go back in this mode."
