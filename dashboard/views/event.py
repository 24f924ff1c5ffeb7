"""Event: one event with all that is known of it."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from dashboard.event_view import EventView, find_event
from eventhub.store.engine import open_reader

__all__ = ["event", "pane", "raw"]


def event(request: HttpRequest, event_id: str) -> HttpResponse:
    return render(request, "event.html", {"event": _find(request, event_id)})


def pane(request: HttpRequest, event_id: str) -> HttpResponse:
    """The same beside a list, or only its payload in another view."""
    view = _find(request, event_id)
    part = request.GET.get("part") == "payload"
    template = "_event_payload.html" if part else "_event_pane.html"
    return render(request, template, {"event": view})


def raw(request: HttpRequest, event_id: str) -> HttpResponse:
    """The payload's bytes, never to be interpreted by a browser."""
    found = _find(request, event_id).event
    response = HttpResponse(found.payload, content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="event-{found.uuid}.bin"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def _find(request: HttpRequest, event_id: str) -> EventView:
    view = find_event(open_reader(), event_id, request.GET)
    if view is None:
        raise Http404("This event is not kept, or not any more.")
    return view
