"""The store in Django's database, as an application with migrations of its own."""

from django.apps import AppConfig


class StoreConfig(AppConfig):
    name = "eventhub.store.relational"
    label = "store"
    verbose_name = "Event store"
