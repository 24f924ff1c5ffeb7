"""Reading events: pages of a search, one event and its neighbours, counts and gaps."""

import time
from collections.abc import Sequence
from typing import Any, Final

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from eventhub.events.identity import time_of
from eventhub.query.tree import Node
from eventhub.store.contract import Count, Page, StoredGap, Window
from eventhub.store.relational.compiler import Compiler
from eventhub.store.relational.database import COLUMNS, Database, placeholders
from eventhub.store.relational.days import MINUTE, first_id_of_day
from eventhub.store.relational.search import Search

__all__ = ["RelationalReader"]

_MOST_GAPS: Final = 1_000


class RelationalReader:
    """An `EventReader`. Each statement is a transaction of its own. Usable from every thread."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, event_id: bytes) -> Event | None:
        sql = f"SELECT {COLUMNS} FROM {self._db.events('events_id')} WHERE id = %s"
        rows = self._rows(sql, [self._db.id(event_id)])
        return Event(*rows[0]) if rows else None

    def search(
        self,
        query: Node,
        window: Window,
        *,
        sources: dict[int, str],
        before: bytes | None = None,
        limit: int = 100,
        seconds: float = 1.0,
        now: int | None = None,
    ) -> Page:
        def search() -> Page:
            search = Search(self._db, query, window, sources, now or _now())
            return search.page(before, limit, seconds)

        return self._db.read(search)

    def after(self, cursor: bytes, *, sources: Sequence[int], limit: int) -> list[Event]:
        rows = self._rows(
            f"SELECT {COLUMNS} FROM {self._db.events('events_id')}"
            f" WHERE id > %s AND source_id IN {placeholders(sources)} ORDER BY id LIMIT %s",
            [self._db.id(cursor), *sources, limit],
        )
        return [Event(*row) for row in rows]

    def neighbours(self, event: Event) -> tuple[bytes | None, bytes | None]:
        return self._neighbour(event, "<", "DESC"), self._neighbour(event, ">", "ASC")

    def _neighbour(self, event: Event, operator: str, order: str) -> bytes | None:
        same = Compiler(self._db, {}, _now()).equals("destination", event.destination)
        rows = self._rows(
            f"SELECT id FROM {self._db.events('events_destination')}"
            f" WHERE source_id = %s AND {same.sql} AND id {operator} %s"
            f" ORDER BY id {order} LIMIT 1",
            [event.source_id, *same.parameters, self._db.id(event.id)],
        )
        return rows[0][0] if rows else None

    def gaps(self, window: Window, *, sources: Sequence[int]) -> list[StoredGap]:
        rows = self._rows(
            "SELECT id, source_id, reason, started, ended, missed, destination FROM gaps"
            f" WHERE source_id IN {placeholders(sources)} AND ended >= %s AND started < %s"
            " ORDER BY started DESC, id DESC LIMIT %s",
            [*sources, window.start, window.end, _MOST_GAPS],
        )
        return [StoredGap(row[0], row[1], Gap(*row[2:])) for row in rows]

    def counts(
        self,
        window: Window,
        *,
        sources: Sequence[int],
        step: int = MINUTE,
        by_source: bool = False,
    ) -> list[Count]:
        what = "'', ''" if by_source else "destination, type"
        rows = self._rows(
            f"SELECT minute / %s * %s, source_id, {what},"
            " CAST(sum(events) AS bigint), CAST(sum(size) AS bigint) FROM event_rollups"
            f" WHERE source_id IN {placeholders(sources)} AND minute >= %s AND minute < %s"
            " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            [step, step, *sources, window.start - window.start % MINUTE, window.end],
        )
        return [Count(*row) for row in rows]

    def extent(self) -> tuple[int, int | None]:
        sql = "SELECT CAST(COALESCE(sum(events), 0) AS bigint), min(day) FROM event_days"
        events, day = self._rows(sql, [])[0]
        if day is None:
            return 0, None
        oldest = self._rows(
            f"SELECT id FROM {self._db.events('events_id')} WHERE id >= %s ORDER BY id LIMIT 1",
            [self._db.id(first_id_of_day(day))],
        )
        return events, time_of(oldest[0][0]) if oldest else None

    def _rows(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        return self._db.read(lambda: self._db.rows(sql, parameters))


def _now() -> int:
    return time.time_ns() // 1_000_000
