"""Every address of EventHub."""

from django.urls import path

from dashboard.consumers import LiveConsumer
from dashboard.views import (
    event,
    health,
    history,
    live,
    overview,
    sign_in,
    source_forms,
    source_probes,
    sources,
)

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("overview/part/", overview.part, name="overview-part"),
    path("overview/chart/", overview.chart, name="overview-chart"),
    path("live/", live.live, name="live"),
    path("history/", history.history, name="history"),
    path("history/rows/", history.rows, name="history-rows"),
    path("events/<str:event_id>/", event.event, name="event"),
    path("events/<str:event_id>/pane/", event.pane, name="event-pane"),
    path("events/<str:event_id>/raw/", event.raw, name="event-raw"),
    path("sources/", sources.index, name="sources"),
    path("sources/rows/", sources.part, name="sources-rows"),
    path("sources/add/", source_forms.add, name="source-add"),
    path("sources/add/<str:kind>/", source_forms.add_kind, name="source-add-kind"),
    path("sources/check/<str:kind>/", source_probes.check, name="source-check"),
    path("sources/discover/<str:kind>/", source_probes.discover, name="source-discover"),
    path("sources/of/<str:name>/", sources.detail, name="source"),
    path("sources/of/<str:name>/edit/", source_forms.edit, name="source-edit"),
    path("sources/of/<str:name>/start/", sources.start, name="source-start"),
    path("sources/of/<str:name>/stop/", sources.stop, name="source-stop"),
    path("sources/of/<str:name>/delete/", sources.delete, name="source-delete"),
    path(
        "sources/of/<str:name>/test-message/",
        source_probes.test_message,
        name="source-test-message",
    ),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-in/<str:token>/", sign_in.use_link, name="sign-in-link"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]

websocket_urlpatterns = [path("ws/live/", LiveConsumer.as_asgi())]
