"""The store of this installation: which engine it is follows from Django's settings."""

from django.conf import settings

from eventhub.store.contract import EventReader, EventRetention, EventWriter
from eventhub.store.relational.engines import database, is_postgres
from eventhub.store.relational.postgres.retention import PostgresRetention
from eventhub.store.relational.postgres.writer import PostgresWriter
from eventhub.store.relational.reader import RelationalReader
from eventhub.store.relational.sqlite.client import SqliteRetentionClient, SqliteWriterClient

__all__ = ["open_reader", "open_retention", "open_writer", "writer_command"]


def open_writer() -> EventWriter:
    """For one thread of a collector. On SQLite it needs the process of `writer_command`."""
    alias = settings.EVENTS_DATABASE
    return PostgresWriter(alias) if is_postgres(alias) else SqliteWriterClient(alias)


def open_reader() -> EventReader:
    """Cheap: it uses Django's connection of the calling thread."""
    return RelationalReader(database(settings.EVENTS_DATABASE))


def open_retention() -> EventRetention:
    """On SQLite it needs the process of `writer_command`."""
    alias = settings.EVENTS_DATABASE
    return PostgresRetention(alias) if is_postgres(alias) else SqliteRetentionClient(alias)


def writer_command() -> list[str] | None:
    """Arguments of `manage.py` for the process that must run beside the collectors; it ends when
    its standard input does. None where the store needs none."""
    if is_postgres(settings.EVENTS_DATABASE):
        return None
    return ["write_events", "--exit-with-parent"]
