"""The live page. What moves on it comes by the websocket of `dashboard.consumers`."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from eventhub.sources.models import Source

__all__ = ["live"]


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    states = Source.objects.values_list("desired", flat=True)
    running = sum(desired == Source.Desired.RUNNING for desired in states)
    context = {
        "query": request.GET.get("q", ""),
        "sources": len(states),
        "running": running,
        # Stands for an event's id in the addresses that the script fills in.
        "any_event": "00000000-0000-7000-8000-000000000000",
    }
    return render(request, "live.html", context)
