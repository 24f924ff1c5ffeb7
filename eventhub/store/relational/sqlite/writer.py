"""Writing events into SQLite, in the one process that does."""

from collections.abc import Iterable, Sequence

import msgspec

from eventhub.events.event import Event
from eventhub.store.contract import Batch, StoreUnavailable, Written
from eventhub.store.relational.database import COLUMNS, EVENT_COLUMNS
from eventhub.store.relational.sqlite.database import SqliteDatabase
from eventhub.store.relational.writer import RelationalWriter

__all__ = ["SqliteWriter"]

_INSERT = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join(['%s'] * len(EVENT_COLUMNS))})"

# 1 KB events in batches of 1,000: with ids in order 47,000 a second with the defaults, 51,000 with
# these; with random ids 34,000 to 44,000 when the log is taken over every 4 MB, 42,000 to 46,000
# every 16 MB. The log then stays near 20 MB.
_TUNING = ("cache_size = -65536", "wal_autocheckpoint = 4000", "journal_size_limit = 33554432")


class SqliteWriter(RelationalWriter):
    """An `EventWriter` in this process. Collectors use `SqliteWriterClient`."""

    def __init__(self, alias: str) -> None:
        super().__init__(SqliteDatabase(alias))
        for pragma in _TUNING:
            self._db.rows(f"PRAGMA {pragma}")

    def write_all(self, batches: Sequence[Batch]) -> list[Written | Exception]:
        """Several batches in one commit, each with what came of it. Raises StoreUnavailable.

        A commit costs a sync of the disk, whatever it holds: four collectors that wait together
        wait once. A batch that cannot be stored is left out and does not stop the others.
        """
        outcomes: list[Written | Exception] = []
        with self._db.reachable(), self._db.transaction():
            for batch in batches:
                try:
                    outcomes.append(self.write(batch))
                except StoreUnavailable:
                    raise
                except Exception as error:
                    outcomes.append(error)
        return outcomes

    def _lock(self, source_id: int) -> None:
        """An IMMEDIATE transaction is the only one that writes."""

    def _insert(self, events: Sequence[Event]) -> None:
        self._db.run_many(_INSERT, map(msgspec.structs.astuple, events))

    def _insert_identities(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        self._db.run_many(
            "INSERT INTO delivery_identities (source_id, digest, event_id) VALUES (%s, %s, %s)",
            rows,
        )
