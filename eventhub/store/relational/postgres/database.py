"""Statements on PostgreSQL."""

import uuid
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import Any, ClassVar, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from eventhub.store.relational.database import Database, TooSlow

__all__ = ["PostgresDatabase"]

_ROWS_A_FETCH: Final = 50
"""Rows that a streamed result brings at a time."""


class _IdLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class PostgresDatabase(Database):
    unavailable: ClassVar = (psycopg.OperationalError, psycopg.InterfaceError)

    def id(self, event_id: bytes) -> object:
        return uuid.UUID(bytes=event_id)

    def events(self, index: str) -> str:
        return "events"

    def lookup(self, column: str) -> str:
        return "SELECT id FROM events WHERE "

    def holds(self, column: str) -> str:
        if column == "payload":
            return "position(%s::bytea in payload) > 0"
        return f"strpos({column}, %s) > 0"

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.cursor().execute(sql, parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self.cursor().execute(sql, parameters).rowcount

    def run_many(self, sql: str, parameters: Iterable[Sequence[object]]) -> None:
        self.cursor().executemany(sql, parameters)

    def stream(
        self, sql: str, parameters: Sequence[object], *, seconds: float
    ) -> Generator[tuple[Any, ...], None, None]:
        self._limit(round(seconds * 1000))
        cursor = self.cursor()
        rows: Any = cursor.stream(sql, parameters, size=_ROWS_A_FETCH)
        try:
            with closing(rows):
                yield from rows
        except psycopg.errors.QueryCanceled as error:
            raise TooSlow from error
        finally:
            if not cursor.connection.broken:
                self._limit(0)

    def cursor(self) -> psycopg.Cursor[tuple[Any, ...]]:
        """A cursor with parameters and results in binary, ids as bytes. Django's own is a
        subclass that merges parameters into the text of the statement."""
        self.connection.ensure_connection()
        cursor = psycopg.Cursor(self.connection.connection)
        cursor.format = Format.BINARY
        cursor.adapters.register_loader("uuid", _IdLoader)
        return cursor

    def _limit(self, milliseconds: int) -> None:
        self.rows("SELECT set_config('statement_timeout', %s, false)", [str(milliseconds)])
