"""Retention on SQLite, in the one process that writes events."""

from typing import ClassVar

from eventhub.store.contract import Pruned
from eventhub.store.relational.retention import RelationalRetention
from eventhub.store.relational.sqlite.database import SqliteDatabase

__all__ = ["SqliteRetention"]


class SqliteRetention(RelationalRetention):
    """An `EventRetention` in this process. Others use `SqliteRetentionClient`.

    The file does not shrink: what is freed is written again.
    """

    bite_events: ClassVar = 500

    def __init__(self, alias: str) -> None:
        super().__init__(SqliteDatabase(alias))

    def _prune(self, source_id: int, older_than: int, max_bytes: int) -> Pruned:
        self._forget_gaps(source_id, older_than)
        return self._bite(source_id, older_than, max_bytes)

    def _forget_events(self, source_id: int) -> Pruned:
        return self._bite(source_id, older_than=1 << 47, max_bytes=0)
