"""Retention on PostgreSQL: whole days are dropped, the rest goes in bites."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

import psycopg

from eventhub.store.contract import Pruned
from eventhub.store.relational.days import DAY, MINUTE, first_id_of_day
from eventhub.store.relational.postgres.database import PostgresDatabase
from eventhub.store.relational.postgres.partitions import (
    DDL_PATIENCE,
    branch,
    day_of_leaf,
    leaf,
)
from eventhub.store.relational.retention import RelationalRetention

__all__ = ["PostgresRetention"]

_PRUNING: Final = 0x4558 << 48
"""Upper bits of the advisory locks of sources that are being pruned."""
_NOTHING: Final = Pruned(0, 0, more=False)


class PostgresRetention(RelationalRetention):
    """An `EventRetention`. By age it forgets whole UTC days, once all of a day is too old.

    By size it drops the oldest day only if even without it there is enough; else it deletes the
    oldest events of that day, so that a little too much never costs a whole day. A day that
    has been emptied so is dropped as well. A partition that a long SELECT still reads is given
    up for this time and taken up at the next call.
    """

    bite_events: ClassVar = 5_000

    _db: PostgresDatabase

    def __init__(self, alias: str) -> None:
        super().__init__(PostgresDatabase(alias))

    def _prune(self, source_id: int, older_than: int, max_bytes: int) -> Pruned:
        with self._alone(source_id) as alone:
            if not alone or not self._finish_removals(source_id):
                return _NOTHING
            self._forget_gaps(source_id, older_than)
            excess = self._kept_bytes(source_id) - max_bytes
            day = self._removable_day(source_id, older_than, excess)
            if day is not None:
                return self._drop_day(source_id, day)
            return self._bite(source_id, 0, max_bytes) if excess > 0 else _NOTHING

    def _forget_events(self, source_id: int) -> Pruned:
        with self._alone(source_id) as alone:
            if not alone:
                return Pruned(0, 0, more=True)
            events, size = self._kept(source_id, None)
            table = branch(source_id)
            if not (
                self._finish_detach("events", table)
                and self._detach("events", table)
                and self._drop(table)
            ):
                return Pruned(0, 0, more=True)
            return Pruned(events, size, more=False)

    @contextmanager
    def _alone(self, source_id: int) -> Iterator[bool]:
        """Whether no other process prunes this source; it does not wait for its end."""
        lock = _PRUNING | source_id
        alone: bool = self._db.rows("SELECT pg_try_advisory_lock(%s)", [lock])[0][0]
        try:
            if alone:
                self._db.rows("SELECT set_config('lock_timeout', %s, false)", [DDL_PATIENCE])
            yield alone
        finally:
            if alone and not self._db.cursor().connection.broken:
                self._db.rows(
                    "SELECT set_config('lock_timeout', '0', false), pg_advisory_unlock(%s)", [lock]
                )

    def _finish_removals(self, source_id: int) -> bool:
        """Go on where a removal was cut short; whether nothing of the kind is left."""
        table = branch(source_id)
        rows = self._db.rows(
            "SELECT relname, inhrelid IS NULL FROM pg_class"
            " LEFT JOIN pg_inherits ON inhrelid = pg_class.oid"
            " WHERE relkind = 'r' AND relname ~ %s AND pg_table_is_visible(pg_class.oid)"
            " AND (inhrelid IS NULL OR inhdetachpending)",
            [f"^{table}_[0-9]{{8}}$"],
        )
        return all(
            (detached or self._finish_detach(table, name)) and self._drop(name)
            for name, detached in rows
        )

    def _removable_day(self, source_id: int, older_than: int, excess: int) -> int | None:
        """The oldest day, if all of it can go: too old, too much, or emptied."""
        leaves = self._db.rows(
            "SELECT min(inhrelid::regclass::text) FROM pg_inherits"
            " WHERE inhparent = to_regclass(%s)",
            [branch(source_id)],
        )
        if leaves[0][0] is None:
            return None
        day = day_of_leaf(leaves[0][0])
        # A batch may come late, after its store was away. What is written into yesterday's
        # partition while it goes is what retention removes; into today's it is not.
        if (day + 1) * DAY > time.time() * 1000 - DAY:
            return None
        events, size = self._kept(source_id, day)
        too_old = (day + 1) * DAY <= older_than
        return day if too_old or not events or excess >= size else None

    def _drop_day(self, source_id: int, day: int) -> Pruned:
        events, size = self._kept(source_id, day)
        table = leaf(source_id, day)
        if not (self._detach(branch(source_id), table) and self._drop(table)):
            return _NOTHING
        end = (day + 1) * DAY
        with self._db.transaction():
            self._db.run(
                "DELETE FROM event_days WHERE source_id = %s AND day <= %s", [source_id, day]
            )
            self._forget_rollups(source_id, end - end % MINUTE)
        while self._trim_identities(source_id, first_id_of_day(day + 1)):
            continue
        return Pruned(events, size, more=True)

    def _kept(self, source_id: int, day: int | None) -> tuple[int, int]:
        """Events and bytes of one day, or of all."""
        events, size = self._db.rows(
            "SELECT COALESCE(sum(events), 0)::bigint, COALESCE(sum(size), 0)::bigint"
            " FROM event_days WHERE source_id = %s AND (%s::bigint IS NULL OR day = %s)",
            [source_id, day, day],
        )[0]
        return events, size

    def _detach(self, parent: str, table: str) -> bool:
        """Whether it is no partition any more."""
        attached = self._db.rows(
            "SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(%s)", [table]
        )
        if not attached:
            return True
        return self._unless_in_use(f"ALTER TABLE {parent} DETACH PARTITION {table} CONCURRENTLY")

    def _finish_detach(self, parent: str, table: str) -> bool:
        pending = self._db.rows(
            "SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(%s) AND inhdetachpending",
            [table],
        )
        return not pending or self._unless_in_use(
            f"ALTER TABLE {parent} DETACH PARTITION {table} FINALIZE"
        )

    def _drop(self, table: str) -> bool:
        return self._unless_in_use(f"DROP TABLE IF EXISTS {table}")

    def _unless_in_use(self, statement: str) -> bool:
        try:
            self._db.run(statement)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return False
        return True
