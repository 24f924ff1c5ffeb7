"""Removing the oldest events in small bites: the part of retention that both engines share."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple

from eventhub.events.identity import first_id, time_of
from eventhub.store.contract import Pruned
from eventhub.store.relational.database import Database
from eventhub.store.relational.days import MINUTE, day_of, minute_of

__all__ = ["RelationalRetention"]

_BITE_SIZE: Final = 4 * 1024**2
"""Bytes of payload after which a bite ends: a long payload is a chain of pages to be freed."""
_TABLES: Final = (
    "gaps", "event_rollups", "checkpoints", "event_days", "source_progress",
)  # fmt: skip


class Bite(NamedTuple):
    last: bytes
    """The newest id that goes."""
    sizes: dict[int, list[int]]
    """Bytes of each event that goes, by day."""


class RelationalRetention(ABC):
    """An `EventRetention` on one Django connection; each call is a few short transactions."""

    bite_events: ClassVar[int]
    """Events that one call removes at most, row by row."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def sources(self) -> set[int]:
        with self._db.reachable():
            return {row[0] for row in self._db.rows("SELECT source_id FROM source_progress")}

    def prune(self, source_id: int, *, older_than: int, max_bytes: int) -> Pruned:
        with self._db.reachable():
            return self._prune(source_id, older_than, max_bytes)

    def forget(self, source_id: int) -> Pruned:
        with self._db.reachable():
            pruned = self._forget_events(source_id)
            if pruned.more or self._trim_identities(source_id, b"\xff" * 16):
                return Pruned(pruned.events, pruned.size, more=True)
            with self._db.transaction():
                for table in _TABLES:
                    self._db.run(f"DELETE FROM {table} WHERE source_id = %s", [source_id])
            return pruned

    @abstractmethod
    def _prune(self, source_id: int, older_than: int, max_bytes: int) -> Pruned: ...

    @abstractmethod
    def _forget_events(self, source_id: int) -> Pruned: ...

    def _kept_bytes(self, source_id: int) -> int:
        sql = "SELECT CAST(COALESCE(sum(size), 0) AS bigint) FROM event_days WHERE source_id = %s"
        kept: int = self._db.rows(sql, [source_id])[0][0]
        return kept

    def _bite(self, source_id: int, older_than: int, max_bytes: int) -> Pruned:
        """Remove some of the oldest events that are too old, or too much."""
        with self._db.transaction():
            excess = self._kept_bytes(source_id) - max_bytes
            bite = self._choose(source_id, first_id(older_than), excess)
            events = self._delete(source_id, bite) if bite else 0
        identities = bite is not None and self._trim_identities(source_id, bite.last)
        size = sum(map(sum, bite.sizes.values())) if bite else 0
        oldest = self._oldest(source_id)
        more = oldest is not None and (time_of(oldest) < older_than or excess > size)
        return Pruned(events, size, more or identities)

    def _choose(self, source_id: int, bound: bytes, excess: int) -> Bite | None:
        rows = self._db.rows(
            f"SELECT id, length(payload) FROM {self._db.events('events_source')}"
            " WHERE source_id = %s ORDER BY id LIMIT %s",
            [source_id, self.bite_events],
        )
        last: bytes | None = None
        sizes: dict[int, list[int]] = {}
        taken = 0
        for event_id, size in rows:
            if taken > _BITE_SIZE or (event_id >= bound and taken >= excess):
                break
            last = event_id
            taken += size
            sizes.setdefault(day_of(event_id), []).append(size)
        return None if last is None else Bite(last, sizes)

    def _delete(self, source_id: int, bite: Bite) -> int:
        deleted = self._db.run(
            f"DELETE FROM {self._db.events('events_source')} WHERE source_id = %s AND id <= %s",
            [source_id, self._db.id(bite.last)],
        )
        for day, sizes in bite.sizes.items():
            self._db.run(
                "UPDATE event_days SET events = events - %s, size = size - %s"
                " WHERE source_id = %s AND day = %s",
                [len(sizes), sum(sizes), source_id, day],
            )
        self._db.run("DELETE FROM event_days WHERE source_id = %s AND events <= 0", [source_id])
        oldest = self._oldest(source_id)
        # The minute that is half removed keeps its counts until it is gone.
        kept_from = minute_of(bite.last) + MINUTE if oldest is None else minute_of(oldest)
        self._forget_rollups(source_id, kept_from)
        return deleted

    def _forget_rollups(self, source_id: int, before: int) -> None:
        self._db.run(
            "DELETE FROM event_rollups WHERE source_id = %s AND minute < %s", [source_id, before]
        )

    def _forget_gaps(self, source_id: int, before: int) -> None:
        self._db.run("DELETE FROM gaps WHERE source_id = %s AND ended < %s", [source_id, before])

    def _oldest(self, source_id: int) -> bytes | None:
        rows = self._db.rows(
            f"SELECT id FROM {self._db.events('events_source')}"
            " WHERE source_id = %s ORDER BY id LIMIT 1",
            [source_id],
        )
        return rows[0][0] if rows else None

    def _trim_identities(self, source_id: int, last: bytes) -> bool:
        """Remove some of the identities of events up to `last`; whether there may be more."""
        some = 10 * self.bite_events
        removed = self._db.run(
            "DELETE FROM delivery_identities WHERE source_id = %s AND digest IN"
            " (SELECT digest FROM delivery_identities WHERE source_id = %s AND event_id <= %s"
            " ORDER BY event_id LIMIT %s)",
            [source_id, source_id, self._db.id(last), some],
        )
        return removed == some
