"""A store of a test's own, on a database that Django's settings do not name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import connections
from django.test import override_settings

__all__ = ["events_database"]


@contextmanager
def events_database(alias: str, **settings: Any) -> Iterator[str]:
    """Add a database under this alias, with the store's tables in it."""
    configured = connections.configure_settings({"default": {}, alias: settings})
    connections.settings[alias] = configured[alias]
    try:
        with override_settings(EVENTS_DATABASE=alias):
            call_command("migrate", "store", database=alias, verbosity=0)
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]
