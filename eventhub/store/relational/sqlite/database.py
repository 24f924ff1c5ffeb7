"""Statements on SQLite."""

import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar, Final

from eventhub.store.relational.database import Database, TooSlow

__all__ = ["BUCKET", "SqliteDatabase"]

BUCKET: Final = 13
"""Keys, correlation and message ids are indexed in buckets of 2**13 events that were stored one
after the other. Without, each event's random ids dirty pages all over ever larger indexes: the
writer fell from 33,000 to 8,000 events a second within the first 500,000. With buckets it kept
48,000; of 2**14 43,000, of 2**16 9,000. A lookup asks every bucket: 5 µs each.
"""
_BUCKETS: Final = f"""
WITH RECURSIVE bucket(n) AS (
 SELECT max(seq) >> {BUCKET} FROM events
 UNION ALL SELECT (SELECT seq >> {BUCKET} FROM events WHERE seq < (n << {BUCKET})
  ORDER BY seq DESC LIMIT 1) FROM bucket WHERE n IS NOT NULL)
"""

_INSTRUCTIONS: Final = 20_000
"""Steps of SQLite's virtual machine between two looks at the clock: well under a millisecond."""


class SqliteDatabase(Database):
    unavailable: ClassVar = (sqlite3.OperationalError,)

    def id(self, event_id: bytes) -> object:
        return event_id

    def events(self, index: str) -> str:
        # Without it the planner, which has no statistics, takes the index on the type for a
        # window of a minute.
        return f"events INDEXED BY {index}"

    def lookup(self, column: str) -> str:
        if column == "id":
            return "SELECT id FROM events INDEXED BY events_id WHERE "
        return (
            f"{_BUCKETS} SELECT id FROM bucket CROSS JOIN events INDEXED BY events_{column}"
            f" WHERE seq >> {BUCKET} = n AND "
        )

    def holds(self, column: str) -> str:
        return f"instr({column}, %s) > 0"

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._execute(sql, parameters).fetchall()

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self._execute(sql, parameters).rowcount

    def run_many(self, sql: str, parameters: Iterable[Sequence[object]]) -> None:
        self._raw().executemany(sql.replace("%s", "?"), parameters)

    def stream(
        self, sql: str, parameters: Sequence[object], *, seconds: float
    ) -> Generator[tuple[Any, ...], None, None]:
        raw = self._raw()
        deadline = time.monotonic() + seconds
        raw.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
        cursor = raw.cursor()
        try:
            yield from cursor.execute(sql.replace("%s", "?"), parameters)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise TooSlow from error
            raise
        finally:
            # An open cursor is an open transaction, which keeps the write-ahead log from ending.
            cursor.close()
            raw.set_progress_handler(None, 0)

    def _reset(self) -> None:
        """A file has no connection that could be lost."""

    def _execute(self, sql: str, parameters: Sequence[object]) -> sqlite3.Cursor:
        return self._raw().execute(sql.replace("%s", "?"), parameters)

    def _raw(self) -> sqlite3.Connection:
        self.connection.ensure_connection()
        raw: sqlite3.Connection = self.connection.connection
        return raw
