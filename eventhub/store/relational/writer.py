"""One batch, one transaction: the part of writing that both engines share."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from eventhub.events.event import Event
from eventhub.store.contract import Batch, Resume, Superseded, Written
from eventhub.store.relational.database import Database, placeholders
from eventhub.store.relational.days import DAY, runs
from eventhub.store.relational.rollups import Rollups

__all__ = ["RelationalWriter"]

_CHUNK: Final = 500
"""Rows or ids that one statement names: SQLite takes 32,766 parameters, PostgreSQL 65,535."""
_unsettled = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])

_NOTE = """
INSERT INTO source_progress (source_id, share, last_seen, last_batch, unsettled)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (source_id, share) DO UPDATE SET
 last_seen = CASE WHEN source_progress.last_seen > excluded.last_seen
  THEN source_progress.last_seen
  ELSE COALESCE(excluded.last_seen, source_progress.last_seen) END,
 last_batch = COALESCE(excluded.last_batch, source_progress.last_batch),
 unsettled = COALESCE(excluded.unsettled, source_progress.unsettled)"""
_ADD_DAY = """
INSERT INTO event_days (source_id, day, events, size) VALUES (%s, %s, %s, %s)
ON CONFLICT (source_id, day) DO UPDATE SET
 events = event_days.events + excluded.events, size = event_days.size + excluded.size"""
_ADD_ROLLUPS = """
INSERT INTO event_rollups (source_id, minute, destination, type, events, size)
VALUES {rows}
ON CONFLICT (source_id, minute, destination, type) DO UPDATE SET
 events = event_rollups.events + excluded.events, size = event_rollups.size + excluded.size"""
_MOVE_CHECKPOINT = """
INSERT INTO checkpoints (source_id, part, position) VALUES (%s, %s, %s)
ON CONFLICT (source_id, part) DO UPDATE SET position = excluded.position"""
_ADD_GAP = """
INSERT INTO gaps (source_id, reason, started, ended, missed, destination)
VALUES (%s, %s, %s, %s, %s, %s)"""
_WRITTEN_BEFORE = """
SELECT EXISTS (SELECT 1 FROM source_progress
  WHERE source_id = %s AND share = %s AND last_batch = %s)
 OR EXISTS (SELECT 1 FROM events WHERE id = %s AND source_id = %s),
 (SELECT epoch FROM source_progress WHERE source_id = %s AND share = %s)"""
_RESUME = """
INSERT INTO source_progress (source_id, share, shares, epoch) VALUES (%s, %s, %s, %s)
ON CONFLICT (source_id, share) DO UPDATE SET epoch = excluded.epoch
RETURNING last_seen, unsettled"""
_DIVIDE = """
INSERT INTO source_progress (source_id, share, shares, epoch, last_seen)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (source_id, share) DO UPDATE SET
 shares = excluded.shares, epoch = excluded.epoch, last_seen = excluded.last_seen"""


class RelationalWriter(ABC):
    """An `EventWriter` on one Django connection.

    A batch whose commit was not heard of is recognised by its own id, which is kept with the
    source until the next batch, and by its first event, which is kept as long as it is.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._rollups = Rollups()

    def write(self, batch: Batch) -> Written:
        with self._db.reachable(), self._db.transaction():
            self._lock(batch.source_id)
            written, epoch = self._look(batch)
            if written:
                return self._written(batch)
            _check(batch.epoch, epoch)
            fresh, repeats = self._claim(batch)
            self._insert(fresh)
            again = Counter(batch.redelivered)
            again.update(repeats)
            self._raise_redeliveries(batch.source_id, again)
            self._note(batch, fresh)
        return Written(len(fresh), again.total())

    def touch(self, source_id: int, now: int, epoch: int | None = None, share: int = 0) -> None:
        with self._db.reachable(), self._db.transaction():
            self._lock(source_id)
            found = self._db.rows(
                "SELECT epoch FROM source_progress WHERE source_id = %s AND share = %s",
                [source_id, share],
            )
            _check(epoch, found[0][0] if found else None)
            self._db.run(_NOTE, (source_id, share, now, None, None))

    def resume(self, source_id: int, share: int = 0, shares: int = 1) -> Resume:
        """Waits for a batch that another process, perhaps a dead one, is still committing."""
        with self._db.reachable(), self._db.transaction():
            self._lock(source_id)
            epoch = self._next_epoch(source_id, shares)
            asked = (source_id, share, shares, epoch)
            [(last_seen, unsettled)] = self._db.rows(_RESUME, asked)
            checkpoint = self._db.rows(
                "SELECT part, position FROM checkpoints WHERE source_id = %s", [source_id]
            )
        digests = _unsettled.decode(unsettled) if unsettled else []
        return Resume(dict(checkpoint), digests, last_seen, epoch)

    def close(self) -> None:
        self._db.connection.close()

    @abstractmethod
    def _lock(self, source_id: int) -> None:
        """Until the end of the transaction, nobody else writes this source."""

    @abstractmethod
    def _insert(self, events: Sequence[Event]) -> None: ...

    @abstractmethod
    def _insert_identities(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Rows of source, digest, event id."""

    def _next_epoch(self, source_id: int, shares: int) -> int:
        """Above that of every writer so far, also of a share that is no more and may come back.

        Where the source was divided otherwise, all of its writers are superseded.
        """
        found = self._db.rows(
            "SELECT shares, epoch, last_seen FROM source_progress WHERE source_id = %s",
            [source_id],
        )
        epoch = 1 + max((row[1] for row in found), default=0)
        if any(row[0] != shares for row in found):
            # What each of the old shares has seen, all of the new ones may take as seen.
            seen = min((row[2] for row in found if row[2] is not None), default=None)
            self._db.run(
                "DELETE FROM source_progress WHERE source_id = %s AND share >= %s",
                [source_id, shares],
            )
            rows = [(source_id, share, shares, epoch, seen) for share in range(shares)]
            self._db.run_many(_DIVIDE, rows)
            epoch += 1
        return epoch

    def _look(self, batch: Batch) -> tuple[bool, int | None]:
        """Whether the batch is written already, and the epoch of its share's newest writer."""
        source_id, share = batch.source_id, batch.share
        first = self._db.id(batch.events[0].id if batch.events else bytes(16))
        asked = (source_id, share, batch.id, first, source_id, source_id, share)
        [(written, epoch)] = self._db.rows(_WRITTEN_BEFORE, asked)
        return bool(written), epoch

    def _written(self, batch: Batch) -> Written:
        """What writing it the first time must have returned."""
        stored = 0
        ids = [self._db.id(event.id) for event in batch.events]
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            sql = f"SELECT count(*) FROM events WHERE id IN {placeholders(chunk)}"
            stored += self._db.rows(f"{sql} AND source_id = %s", [*chunk, batch.source_id])[0][0]
        return Written(stored, len(batch.redelivered) + len(ids) - stored)

    def _claim(self, batch: Batch) -> tuple[list[Event], list[bytes]]:
        """The events not stored before, and the ids of the stored ones that the others repeat."""
        digests = [digest for digest in batch.identities if digest is not None]
        if not digests:
            return batch.events, []
        known = self._known(batch.source_id, digests)
        fresh: list[Event] = []
        repeats: list[bytes] = []
        claims: list[tuple[int, bytes, bytes]] = []
        for event, digest in zip(batch.events, batch.identities, strict=True):
            if digest is not None:
                if digest in known:
                    repeats.append(known[digest])
                    continue
                known[digest] = event.id
                claims.append((batch.source_id, digest, event.id))
            fresh.append(event)
        self._insert_identities(claims)
        return fresh, repeats

    def _known(self, source_id: int, digests: list[bytes]) -> dict[bytes, bytes]:
        known: dict[bytes, bytes] = {}
        for start in range(0, len(digests), _CHUNK):
            chunk = digests[start : start + _CHUNK]
            sql = "SELECT digest, event_id FROM delivery_identities WHERE source_id = %s AND digest"
            known.update(self._db.rows(f"{sql} IN {placeholders(chunk)}", [source_id, *chunk]))
        return known

    def _raise_redeliveries(self, source_id: int, again: Counter[bytes]) -> None:
        by_count: dict[int, list[object]] = {}
        for event_id, count in again.items():
            by_count.setdefault(count, []).append(self._db.id(event_id))
        for count, ids in by_count.items():
            for start in range(0, len(ids), _CHUNK):
                chunk = ids[start : start + _CHUNK]
                self._db.run(
                    "UPDATE events SET redeliveries = redeliveries + %s"
                    f" WHERE source_id = %s AND id IN {placeholders(chunk)}",
                    [count, source_id, *chunk],
                )

    def _note(self, batch: Batch, fresh: Sequence[Event]) -> None:
        """All that is committed beside the events."""
        source_id = batch.source_id
        seen = [event.time for event in batch.events[-1:]] + [gap.ended for gap in batch.gaps]
        unsettled = None if batch.unsettled is None else msgspec.msgpack.encode(batch.unsettled)
        noted = (source_id, batch.share, max(seen, default=None), batch.id, unsettled)
        self._db.run(_NOTE, noted)
        if batch.checkpoint:
            moved = [(source_id, part, place) for part, place in batch.checkpoint.items()]
            self._db.run_many(_MOVE_CHECKPOINT, moved)
        if batch.gaps:
            found = [
                (source_id, gap.reason, gap.started, gap.ended, gap.missed, gap.destination)
                for gap in batch.gaps
            ]
            self._db.run_many(_ADD_GAP, found)
        for day, run in runs(fresh, DAY):
            size = sum([len(event.payload) for event in run])
            self._db.run(_ADD_DAY, (source_id, day, len(run), size))
        rows = [(*place, *total) for place, total in self._rollups.sums(fresh).items()]
        for start in range(0, len(rows), _CHUNK):
            # One statement: on PostgreSQL sixty rows one by one cost 2 ms of a batch's 25.
            chunk = rows[start : start + _CHUNK]
            sql = _ADD_ROLLUPS.format(rows=", ".join(map(placeholders, chunk)))
            self._db.run(sql, [value for row in chunk for value in row])


def _check(own: int | None, newest: int | None) -> None:
    """Raises Superseded for a writer that is not the newest one, or whose share is no more."""
    if own is not None and own != (newest or 0):
        raise Superseded("Another collector has taken this source, or this share of it, over.")
