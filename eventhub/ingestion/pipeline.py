"""The way of one event: received, normalised, written in one transaction, settled, announced."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, NamedTuple, Protocol

import msgspec

from eventhub.brokers.backoff import delay
from eventhub.brokers.contract import Consumer, Delivery, Gap, Received
from eventhub.events.event import Event
from eventhub.events.identity import EventIds
from eventhub.ingestion.normalise import position_digest, to_event
from eventhub.ingestion.redelivery import Unsettled
from eventhub.store.contract import Batch, EventWriter, Resume, StoreUnavailable

__all__ = ["Announces", "Pipeline", "Settings", "Stopped"]

BATCH: Final = 1_000
"""Deliveries a transaction."""
MAX_WAIT: Final = 0.1
"""Seconds that `receive` waits for a first delivery: how soon a stop is noticed."""
TOUCH_EVERY: Final = 5_000
"""Milliseconds after which a quiet source is noted as seen: what a gap after a crash overstates."""
LONGEST_STORE_WAIT: Final = 5
"""Seconds between two tries to reach a store that is away, at most."""


class Stopped(Exception):
    """Asked to stop while the store was away; what was received is not settled."""


class Announces(Protocol):
    def announce(self, events: list[Event], gaps: list[Gap]) -> None: ...

    def flush_if_due(self) -> None: ...


class Settings(msgspec.Struct, frozen=True):
    source_id: int
    payload_limit: int
    """Bytes."""
    settles: bool
    """`eventhub.brokers.contract.Mode.settles`"""
    type_path: tuple[str, ...] = ()
    """Keys that lead to the type in a JSON payload, for messages whose broker tells none."""
    share: int = 0
    """`eventhub.store.contract.Batch.share`"""


class _Taken(NamedTuple):
    received: Received
    at: int
    """When, in milliseconds."""
    batch: Batch


class Pipeline:
    """Moves the deliveries of one source, or of a share of it, into the store for as long as its
    collector lives.

    It outlives reconnects: what was committed on a lost connection and not settled is recognised
    when the next one delivers it again.

    While a full batch is being committed the next one is already received, where nothing is
    settled: the client's and our own work on it hides behind the store's. Where batches are
    settled, recognising redeliveries rests on one being done with before the next is received.

    `wait(seconds)` returns early, and `stopping()` becomes true, when the collector should end.
    `on_store_away(reason)` is told when a write fails, and told "" when the store is back.
    """

    def __init__(
        self,
        settings: Settings,
        writer: EventWriter,
        announcer: Announces,
        resume: Resume,
        *,
        stopping: Callable[[], bool],
        wait: Callable[[float], object],
        on_store_away: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._announcer = announcer
        self._stopping = stopping
        self._wait = wait
        self._on_store_away = on_store_away
        self._ids = EventIds()
        self._unsettled = Unsettled(resume.unsettled)
        self._stored_unsettled = bool(resume.unsettled)
        self._epoch = resume.epoch
        self._reader = ThreadPoolExecutor(1, "receive-ahead")
        self._ahead: Future[_Taken] | None = None
        self.checkpoint = dict(resume.checkpoint)
        self.last_seen = resume.last_seen
        """Observed time up to which the history of the source is known to be kept."""
        self.stored_within = 0
        """Milliseconds from received to committed, of the last batch."""

    def reconnected(self) -> None:
        """A new connection begins; the broker may deliver again what the last one left."""
        self._unsettled.reconnected()

    def step(self, consumer: Consumer) -> int:
        """One batch; returns how many deliveries it had. Raises BrokerError, Stopped and, when
        another collector has taken the source over, Superseded."""
        ahead, self._ahead = self._ahead, None
        taken = self._take(consumer) if ahead is None else ahead.result()
        received = taken.received
        full = len(received.deliveries) == BATCH
        if full and not self._settings.settles and not self._stopping():
            self._ahead = self._reader.submit(self._take, consumer)
        moved = not received.checkpoint.items() <= self.checkpoint.items()
        if received.deliveries or received.gaps or moved:
            self._keep(taken, consumer)
        else:
            self._note_rest(taken.at, consumer)
        self._announcer.flush_if_due()
        return len(received.deliveries)

    @property
    def holds(self) -> bool:
        """Whether something may have been received that only the next step stores."""
        return self._ahead is not None

    def leave(self) -> None:
        """To be called before a consumer is closed: it is not being read any more. What it gave
        and is not stored is forgotten; the checkpoint and `last_seen` lie before it."""
        if self._ahead is not None:
            wait([self._ahead])
            self._ahead = None

    def _take(self, consumer: Consumer) -> _Taken:
        received = consumer.receive(BATCH, MAX_WAIT)
        now = _now()
        return _Taken(received, now, self._batch(received, now))

    def _keep(self, taken: _Taken, consumer: Consumer) -> None:
        received, now, batch = taken
        self._commit(batch, consumer)
        self.checkpoint.update(received.checkpoint)
        self.last_seen = now
        self.stored_within = _now() - now
        try:
            if self._settings.settles and received.deliveries:
                consumer.settle(received)
                self._unsettled.settled()
        finally:
            # Committed is committed, whether or not the broker could be told.
            self._announcer.announce(batch.events, batch.gaps)

    def _batch(self, received: Received, now: int) -> Batch:
        source_id, settles = self._settings.source_id, self._settings.settles
        fresh: Sequence[Delivery] = received.deliveries
        again: list[bytes] = []
        by_content = settles and not _has_positions(fresh)
        if by_content:
            fresh, again = self._unsettled.recognise(fresh)
        ids = self._ids.take(len(fresh), now)
        limit, type_path = self._settings.payload_limit, self._settings.type_path
        return Batch(
            source_id=source_id,
            events=[
                to_event(delivery, event_id, source_id, limit, type_path)
                for delivery, event_id in zip(fresh, ids, strict=True)
            ],
            identities=(
                [position_digest(source_id, delivery) for delivery in fresh]
                if settles and not by_content
                else []
            ),
            redelivered=again,
            gaps=received.gaps,
            checkpoint=received.checkpoint,
            unsettled=self._unsettled.commit(fresh, ids) if by_content else None,
            epoch=self._epoch,
            share=self._settings.share,
        )

    def _commit(self, batch: Batch, consumer: Consumer) -> None:
        tries = 0
        while True:
            try:
                self._writer.write(batch)
            except StoreUnavailable as error:
                self._on_store_away(str(error))
                tries += 1
            else:
                break
            self._wait(delay(tries, LONGEST_STORE_WAIT))
            if self._stopping():
                raise Stopped from None
            if self._ahead is not None:
                wait([self._ahead])
            consumer.keep_alive()
        if tries:
            self._on_store_away("")
        self._stored_unsettled = bool(batch.unsettled)

    def _note_rest(self, now: int, consumer: Consumer) -> None:
        """While nothing arrives: forget digests of what is settled, and note being connected."""
        source_id, share = self._settings.source_id, self._settings.share
        if self._stored_unsettled and not self._unsettled:
            done = Batch(source_id, events=[], unsettled=[], epoch=self._epoch, share=share)
            self._commit(done, consumer)
        if self.last_seen is None or now - self.last_seen >= TOUCH_EVERY:
            try:
                self._writer.touch(source_id, now, self._epoch, share)
            except StoreUnavailable as error:
                self._on_store_away(str(error))
            else:
                self.last_seen = now


def _now() -> int:
    return time.time_ns() // 1_000_000


def _has_positions(deliveries: Sequence[Delivery]) -> bool:
    return bool(deliveries) and deliveries[0].position is not None
