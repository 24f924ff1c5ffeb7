"""What a store does. One suite proves every engine: `tests/contracts/event_store.py`.

Ids are UUIDv7 bytes and sort by observed time; a *cursor* is an id. Times are milliseconds.
"""

import secrets
from collections.abc import Sequence
from typing import Protocol

import msgspec

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from eventhub.query.tree import Node

__all__ = [
    "Batch", "Count", "EventReader", "EventRetention", "EventWriter", "Page", "Pruned", "Resume",
    "StoreUnavailable", "StoredGap", "Superseded", "Window", "Written",
]  # fmt: skip


class StoreUnavailable(Exception):
    """The store cannot be reached. A write has not been committed, or it cannot be told whether
    it has: write the same batch again."""


class Superseded(Exception):
    """Another process has asked where to go on with this share of the source, or the source is
    divided otherwise now: what this one still holds is refused."""


def _new_id() -> bytes:
    return secrets.token_bytes(16)


class Batch(msgspec.Struct, frozen=True):
    """What is committed in one transaction for one source. Writing it twice stores it once."""

    source_id: int
    events: list[Event]
    identities: list[bytes | None] = []
    """Per event, the digest of its broker position, where it has one: stored once for ever
    (until retention); a second delivery raises `redeliveries` of the first. Empty: none has."""
    redelivered: list[bytes] = []
    """Ids of stored events that the broker has delivered again."""
    gaps: list[Gap] = []
    checkpoint: dict[str, str] = {}
    """Parts to move; parts that are not named stay where they are."""
    unsettled: list[tuple[bytes, bytes]] | None = None
    """(content digest, event id) of deliveries committed but not known to be settled with the
    broker, in the order of delivery; replaces what was there. None: leave as it is."""
    epoch: int | None = None
    """That of the `Resume` from which the writer went on. None: nobody else can be writing."""
    share: int = 0
    """Which share of the source the writer collects, as it said to `EventWriter.resume`."""
    id: bytes = msgspec.field(default_factory=_new_id)
    """By which the store knows a batch that is written again, if only gaps are in it."""


class Written(msgspec.Struct, frozen=True):
    stored: int
    redelivered: int


class Resume(msgspec.Struct, frozen=True):
    """What a collector needs to go on where its source stopped."""

    checkpoint: dict[str, str] = {}
    """The parts of the whole source, whichever share moved them."""
    unsettled: list[tuple[bytes, bytes]] = []
    last_seen: int | None = None
    """Observed time of the last commit of this share (an event, a gap or `touch`). Where the source
    was divided otherwise before: the earliest among the shares that were."""
    epoch: int = 0
    """Rises with each `resume` of the source. The one with a share's highest is its only writer."""


class EventWriter(Protocol):
    def write(self, batch: Batch) -> Written:
        """Commit the whole batch or nothing. Raises StoreUnavailable and Superseded."""

    def touch(self, source_id: int, now: int, epoch: int | None = None, share: int = 0) -> None:
        """Note that a share of the source is connected and has missed nothing up to `now`. Raises
        as `write`."""

    def resume(self, source_id: int, share: int = 0, shares: int = 1) -> Resume:
        """Where to go on with one of `shares` shares. From here on refused is whoever resumed this
        share before, and of the other shares whoever took the source to have another number of
        them: what it read may be this one's now."""

    def close(self) -> None: ...


class Window(msgspec.Struct, frozen=True):
    """A span of observed time: from `start` up to but without `end`."""

    start: int
    end: int


class Page(msgspec.Struct, frozen=True):
    """One slice of a search. `searched_back_to` tells how far it has looked."""

    events: list[Event]
    cursor: bytes | None
    """Pass as `before` to go on; None when the window is exhausted."""
    searched_back_to: int
    scanned: int


class StoredGap(msgspec.Struct, frozen=True):
    id: int
    source_id: int
    gap: Gap


class Count(msgspec.Struct, frozen=True):
    """Events of one source, destination and type observed in one minute, or in one step."""

    minute: int
    """Start of the minute or step, in milliseconds."""
    source_id: int
    destination: str
    type: str
    events: int
    size: int
    """Sum of payload sizes in bytes."""


class EventReader(Protocol):
    """Every method raises StoreUnavailable. An instance may be used from many threads."""

    def get(self, event_id: bytes) -> Event | None: ...

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
        """Newest first, what matches `query` among `sources` (id -> name, the ones the reader
        may see). Returns after `limit` events or about `seconds`, whichever comes first, or
        with 32 MB of payloads. Each call comes farther back than the cursor it was given. `now` in
        a query means `now` (ms), so pass the same for each page; None is this moment."""

    def after(self, cursor: bytes, *, sources: Sequence[int], limit: int) -> list[Event]:
        """Oldest first, events with an id above the cursor: for catch-up."""

    def neighbours(self, event: Event) -> tuple[bytes | None, bytes | None]:
        """Ids before and after it in its source and destination."""

    def gaps(self, window: Window, *, sources: Sequence[int]) -> list[StoredGap]:
        """Gaps that touch the window, newest first, 1,000 at most."""

    def counts(
        self,
        window: Window,
        *,
        sources: Sequence[int],
        step: int = 60_000,
        by_source: bool = False,
    ) -> list[Count]:
        """Sums over the minutes that touch the window, oldest first: over `step` milliseconds
        (whole minutes, counted from 1970), and with `by_source` over all destinations and types
        of a source, both then "". A source's destinations and types beyond the first 500 of a
        minute are counted as "other"."""

    def extent(self) -> tuple[int, int | None]:
        """How many events are kept (approximate on a large store) and the oldest's time."""


class Pruned(msgspec.Struct, frozen=True):
    events: int
    size: int
    more: bool
    """Whether there is more to prune now: call again."""


class EventRetention(Protocol):
    """Every method raises StoreUnavailable."""

    def sources(self) -> set[int]:
        """Ids of the sources of which anything is kept."""

    def prune(self, source_id: int, *, older_than: int, max_bytes: int) -> Pruned:
        """Remove what is older than a time (ms), then the oldest above a size in payload bytes.
        Does a bounded amount of work and never blocks the writer. By age, an engine may remove
        whole UTC days only, once all of a day is too old."""

    def forget(self, source_id: int) -> Pruned:
        """Remove everything of a source, in the same bounded way."""
