"""A queue with peek-locks, a dead-letter queue and a clock of the caller's. Pure: no sockets.

Message transfers, locks and settlement:
https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement
"""

import heapq
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from tests.brokers.azure_service_bus.peer.sections import Parts, group_id, head, join_properties

__all__ = ["DEAD_LETTERS", "Entry", "Queue", "SessionLock", "Settings"]

DEAD_LETTERS = "$DeadLetterQueue"
_SCHEDULED = "x-opt-scheduled-enqueue-time"
ACTIVE, DEFERRED, SCHEDULED = 0, 1, 2


@dataclass
class Settings:
    lock_seconds: float = 60
    max_delivery_count: int = 10
    ttl: int | None = None
    """Milliseconds that messages live at most."""
    dead_letters_expired: bool = False
    requires_session: bool = False
    max_bytes: int = 1024**3
    auto_delete_minutes: int | None = None


@dataclass
class Entry:
    sequence: int
    parts: Parts
    enqueued: int
    """Milliseconds since 1970."""
    delivery_count: int = 0
    state: int = ACTIVE
    session: str | None = None
    """Of entities that require sessions."""
    token: uuid.UUID | None = None
    locked_until: int = 0

    def encoded(self) -> bytes:
        annotations = {
            **self.parts.annotations,
            "x-opt-sequence-number": self.sequence,
            "x-opt-enqueued-time": self.enqueued,
            "x-opt-message-state": self.state,
        }
        if self.token is not None and self.session is None:
            annotations["x-opt-locked-until"] = self.locked_until
        return head(annotations, self.parts.ttl, self.delivery_count) + self.parts.bare


@dataclass(eq=False)
class SessionLock:
    """One receiver's claim on all messages of a session, those to come included."""

    id: str
    locked_until: int


class Queue:
    """`told` hears what changed, so that a journal can write it: ("put", entry), ("gone", entry)
    or ("count", entry)."""

    def __init__(self, path: str, settings: Settings, told: Callable[..., None]) -> None:
        self.path = path
        self.settings = settings
        self.entries: dict[int, Entry] = {}
        self.next_sequence = 1
        self.size = 0
        self.dead: Queue | None = None
        self._told = told
        self._ready: dict[str | None, list[int]] = {}
        """Sequence numbers by session."""
        self._sessions: dict[str, SessionLock] = {}
        self._locked: dict[uuid.UUID, Entry] = {}

    def put(self, parts: Parts, now: int) -> Entry:
        due = parts.annotations.get(_SCHEDULED)
        entry = Entry(self.next_sequence, parts, now)
        if isinstance(due, int) and due > now:
            entry.state, entry.enqueued = SCHEDULED, due
        self.restore(entry)
        self._told(self, "put", entry)
        return entry

    def restore(self, entry: Entry) -> None:
        if self.settings.requires_session:
            entry.session = group_id(entry.parts.bare)
        self.entries[entry.sequence] = entry
        self.next_sequence = max(self.next_sequence, entry.sequence + 1)
        self.size += len(entry.parts.bare)
        if entry.state == ACTIVE:
            self._free(entry)

    # Sessions

    def accept(self, now: int, wanted: str | None) -> SessionLock | None:
        """This session, or of those that are free and have messages that with the oldest."""
        if wanted is None:
            free = [id_ for id_ in self._ready if id_ is not None and id_ not in self._sessions]
            oldest = [(entry.sequence, id_) for id_ in free if (entry := self._oldest(id_))]
            if not oldest:
                return None
            wanted = min(oldest)[1]
        elif wanted in self._sessions:
            return None
        made = SessionLock(wanted, now + round(self.settings.lock_seconds * 1000))
        self._sessions[wanted] = made
        return made

    def holds(self, lock: SessionLock) -> bool:
        return self._sessions.get(lock.id) is lock

    def renew_session(self, session: str, now: int) -> int | None:
        lock = self._sessions.get(session)
        if lock is None:
            return None
        lock.locked_until = now + round(self.settings.lock_seconds * 1000)
        return lock.locked_until

    def leave(self, lock: SessionLock) -> None:
        """Frees what was not completed; no delivery is counted."""
        if self.holds(lock):
            for entry in self._unlock_all(lock):
                self._free(entry)

    def _unlock_all(self, lock: SessionLock) -> list[Entry]:
        del self._sessions[lock.id]
        held = [token for token, entry in self._locked.items() if entry.session == lock.id]
        return [entry for token in held if (entry := self._unlock(token)) is not None]

    # Messages

    def take(self, now: int, session: str | None = None) -> Entry | None:
        """The oldest that is free, locked from now on."""
        entry = self._pop(session)
        if entry is not None:
            entry.token = uuid.uuid4()
            entry.locked_until = now + round(self.settings.lock_seconds * 1000)
            self._locked[entry.token] = entry
        return entry

    def complete(self, token: uuid.UUID) -> bool:
        entry = self._unlock(token)
        if entry is not None:
            self.remove(entry)
        return entry is not None

    def release(self, token: uuid.UUID, *, failed: bool, deferred: bool = False) -> bool:
        entry = self._unlock(token)
        if entry is None:
            return False
        if deferred:
            entry.state = DEFERRED
            self._told(self, "count", entry)
        elif failed:
            self._count(entry)
        else:
            self._free(entry)
        return True

    def dead_letter(self, token: uuid.UUID, reason: str, description: str) -> bool:
        entry = self._unlock(token)
        if entry is not None:
            self._bury(entry, reason, description)
        return entry is not None

    def renew(self, token: uuid.UUID, now: int) -> int | None:
        entry = self._locked.get(token)
        if entry is None:
            return None
        entry.locked_until = now + round(self.settings.lock_seconds * 1000)
        return entry.locked_until

    def peek(self, sequence: int, count: int) -> list[Entry]:
        found = (entry for number, entry in sorted(self.entries.items()) if number >= sequence)
        return [entry for entry, _ in zip(found, range(count), strict=False)]

    def tick(self, now: int) -> None:
        """Let locks run out, messages expire and scheduled ones appear."""
        for lock in [each for each in self._sessions.values() if each.locked_until <= now]:
            for entry in self._unlock_all(lock):
                self._count(entry)
        for token, entry in list(self._locked.items()):
            if entry.session is None and entry.locked_until <= now:
                del self._locked[token]
                entry.token = None
                self._count(entry)
        for entry in list(self.entries.values()):
            ttl = min(entry.parts.ttl or 2**62, self.settings.ttl or 2**62)
            if entry.state == SCHEDULED and entry.enqueued <= now:
                entry.state = ACTIVE
                self._free(entry)
            elif entry.token is None and entry.enqueued + ttl <= now:
                self._expire(entry)

    def count(self, state: int) -> int:
        return sum(entry.state == state for entry in self.entries.values())

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.sequence]
        self.size -= len(entry.parts.bare)
        self._told(self, "gone", entry)

    def _free(self, entry: Entry) -> None:
        heapq.heappush(self._ready.setdefault(entry.session, []), entry.sequence)

    def _oldest(self, session: str | None) -> Entry | None:
        ready = self._ready.get(session, [])
        while ready:
            entry = self.entries.get(ready[0])
            if entry is not None and entry.token is None and entry.state == ACTIVE:
                return entry
            heapq.heappop(ready)
        self._ready.pop(session, None)
        return None

    def _pop(self, session: str | None) -> Entry | None:
        entry = self._oldest(session)
        if entry is not None:
            heapq.heappop(self._ready[session])
        return entry

    def _unlock(self, token: uuid.UUID) -> Entry | None:
        entry = self._locked.pop(token, None)
        if entry is not None:
            entry.token = None
        return entry

    def _count(self, entry: Entry) -> None:
        entry.delivery_count += 1
        if self.dead is not None and entry.delivery_count >= self.settings.max_delivery_count:
            limit = self.settings.max_delivery_count
            self._bury(
                entry,
                "MaxDeliveryCountExceeded",
                f"Message could not be consumed after {limit} delivery attempts.",
            )
            return
        self._told(self, "count", entry)
        self._free(entry)

    def _expire(self, entry: Entry) -> None:
        if self.dead is not None and self.settings.dead_letters_expired:
            self._bury(entry, "TTLExpiredException", "The message expired and was dead lettered.")
        elif self.dead is not None:  # what lies in a dead-letter queue does not expire
            self.remove(entry)

    def _bury(self, entry: Entry, reason: str, description: str) -> None:
        self.remove(entry)
        moved = self.bury(entry.parts, entry.enqueued, reason, description)
        moved.delivery_count = entry.delivery_count
        self._told(self.dead, "count", moved)

    def bury(self, parts: Parts, enqueued: int, reason: str, description: str) -> Entry:
        """Straight to the dead letters."""
        assert self.dead is not None
        told = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        bare = join_properties(parts.bare, told)
        return self.dead.put(parts._replace(bare=bare), enqueued)
