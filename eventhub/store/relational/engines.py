"""Which engine an alias of Django's databases is."""

from django.db import connections

from eventhub.store.relational.database import Database
from eventhub.store.relational.postgres.database import PostgresDatabase
from eventhub.store.relational.sqlite.database import SqliteDatabase

__all__ = ["database", "is_postgres"]


def is_postgres(alias: str) -> bool:
    return connections[alias].vendor == "postgresql"


def database(alias: str) -> Database:
    return PostgresDatabase(alias) if is_postgres(alias) else SqliteDatabase(alias)
