"""The Django application of sources."""

from django.apps import AppConfig


class SourcesConfig(AppConfig):
    name = "eventhub.sources"
    label = "sources"
