"""Which database a table is in."""

from typing import Any

from django.conf import settings

__all__ = ["EventsRouter"]


class EventsRouter:
    """The store's tables live in `settings.EVENTS_DATABASE` only, all others in `default` only."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return settings.EVENTS_DATABASE if model._meta.app_label == "store" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == (settings.EVENTS_DATABASE if app_label == "store" else "default")
