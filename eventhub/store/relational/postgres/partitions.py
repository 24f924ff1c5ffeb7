"""The partitions of `events`: one table a source, in it one a UTC day.

What blocks what (PostgreSQL manual, "Table Partitioning" and "Explicit Locking"; pinned by tests):
`CREATE TABLE … PARTITION OF` and plain `DROP` and `DETACH` lock the parent against everybody, so
behind one open SELECT they stop every writer. `ATTACH` and `DETACH … CONCURRENTLY` do not. There
is no default partition: it would be locked and searched at every ATTACH.
"""

import logging
import time
import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from eventhub.store.contract import StoreUnavailable
from eventhub.store.relational.days import DAY, first_id_of_day
from eventhub.store.relational.postgres.database import PostgresDatabase

__all__ = ["DDL_PATIENCE", "Partitions", "branch", "day_of_leaf", "leaf"]

logger = logging.getLogger(__name__)

DDL_PATIENCE: Final = "2s"
"""Who waits for a lock on a table makes everybody after him wait as well."""
_TRIES: Final = 3
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MAKING: Final = 0x4557 << 48
"""Upper bits of the advisory locks under which partitions are made."""
_RETRY_AHEAD: Final = 60.0
"""Seconds until tomorrow's partition is tried again."""


def branch(source_id: int) -> str:
    """The table of a source."""
    return f"events_{source_id}"


def leaf(source_id: int, day: int) -> str:
    """The table of a source and a day (days since 1970-01-01)."""
    return f"events_{source_id}_{date.fromordinal(_EPOCH + day):%Y%m%d}"


def day_of_leaf(name: str) -> int:
    return date.fromisoformat(name.rsplit("_", 1)[1]).toordinal() - _EPOCH


class Partitions:
    """Makes partitions before they are needed, and knows which there are."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._db = database
        self._known: set[tuple[int, int]] = set()
        self._try_ahead_at = 0.0

    def prepare(self, source_id: int, days: Iterable[int]) -> None:
        """See that these days have a partition, and tomorrow. Raises StoreUnavailable."""
        for day in days:
            if (source_id, day) not in self._known:
                self._make(source_id, day)
        tomorrow = int(time.time() * 1000) // DAY + 1
        if (source_id, tomorrow) in self._known or time.monotonic() < self._try_ahead_at:
            return
        try:
            self._make(source_id, tomorrow, tries=1)
        except StoreUnavailable as error:
            self._try_ahead_at = time.monotonic() + _RETRY_AHEAD
            logger.warning("Tomorrow's partition is not made yet: %s", error)

    def forget_known(self) -> None:
        self._known.clear()

    def is_attached(self, source_id: int, day: int) -> bool:
        names = [leaf(source_id, day), branch(source_id)]
        return bool(
            self._db.rows(
                "SELECT count(*) = 2 FROM pg_inherits WHERE NOT inhdetachpending"
                " AND inhrelid IN (to_regclass(%s), to_regclass(%s))",
                names,
            )[0][0]
        )

    def _make(self, source_id: int, day: int, tries: int = _TRIES) -> None:
        for left in reversed(range(tries)):
            try:
                with self._db.reachable():
                    self._make_missing(source_id, day)
            except StoreUnavailable:
                if not left:
                    raise
            else:
                self._known.add((source_id, day))
                return

    def _make_missing(self, source_id: int, day: int) -> None:
        with self._db.transaction():
            self._db.rows(
                "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)",
                [DDL_PATIENCE, _MAKING | source_id],
            )
            if not self._exists(branch(source_id)):
                self._create(branch(source_id), "events", " PARTITION BY RANGE (id)")
                self._attach("events", branch(source_id), f"IN ({source_id:d})")
            if not self._exists(leaf(source_id, day)):
                self._create(leaf(source_id, day), branch(source_id), "")
                low, high = (uuid.UUID(bytes=first_id_of_day(end)) for end in (day, day + 1))
                span = f"FROM ('{low}') TO ('{high}')"
                self._attach(branch(source_id), leaf(source_id, day), span)
        if not self.is_attached(source_id, day):
            raise StoreUnavailable(f"{leaf(source_id, day)} is just being removed")

    def _exists(self, table: str) -> bool:
        found: Any = self._db.rows("SELECT to_regclass(%s) IS NOT NULL", [table])[0][0]
        return bool(found)

    def _create(self, table: str, like: str, options: str) -> None:
        self._db.run(f"CREATE TABLE {table} (LIKE {like} INCLUDING ALL){options}")

    def _attach(self, parent: str, table: str, values: str) -> None:
        self._db.run(f"ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES {values}")
