"""Recognising what a broker delivers again when it numbers nothing.

RabbitMQ gives a redelivered message a new tag and only the word `redelivered`. So the digests of
deliveries that are committed, but of which the broker may not yet know, are stored with each
batch. Three facts make them enough:

- A batch is settled as a whole, by one acknowledgement, and batches in their order. So the broker
  delivers again all of a committed batch or nothing of it.
- What a lost connection leaves comes back at the head of the queue, in its old order
  (https://www.rabbitmq.com/docs/confirms#automatic-requeueing).
- Only one consumer reads the queue, so it comes before anything else.

After a reconnect the first deliveries are therefore compared with the stored digests in order.
Matching single messages instead, in any order, would take an honest message for the redelivery
of its twin whenever a crash falls between settling one batch and committing the next.

What stays open: a crash just there, when the next batch begins with a whole copy of the last
one, all without an id or a time in their properties. It is then taken for a redelivery.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from eventhub.brokers.contract import Delivery
from eventhub.ingestion.normalise import content_digest

__all__ = ["Entry", "Unsettled"]

Entry = tuple[bytes, bytes]
"""(content digest, id of the event that is stored)."""

BOUNDARY: Final[Entry] = (bytes(16), bytes(16))
"""Stands between two batches in the stored list."""


class Unsettled:
    """The deliveries that are committed and not known to be settled."""

    def __init__(self, stored: Sequence[Entry]) -> None:
        self._expected = _split(stored)
        """Batches from connections that are gone: each may be delivered again, whole."""
        self._current: list[Entry] = []
        """The batch that is being stored or settled now."""

    def __bool__(self) -> bool:
        return bool(self._expected or self._current)

    def recognise(self, deliveries: Sequence[Delivery]) -> tuple[Sequence[Delivery], list[bytes]]:
        """Split a batch into deliveries not yet stored, and ids of events delivered again."""
        again = self._match(deliveries) if self._expected and deliveries else []
        self._current = again
        return deliveries[len(again) :], [event_id for _, event_id in again]

    def commit(self, fresh: Sequence[Delivery], ids: Sequence[bytes]) -> list[Entry]:
        """All entries to store with the batch whose new events have `ids`."""
        self._current = self._current + [
            (content_digest(delivery), event_id)
            for delivery, event_id in zip(fresh, ids, strict=True)
        ]
        return _join([self._current, *self._expected])

    def settled(self) -> None:
        """The broker has heard that the current batch is done with."""
        self._current = []

    def reconnected(self) -> None:
        """What was not settled on the lost connection may be delivered again on the next."""
        if self._current:
            self._expected.insert(0, self._current)
        self._current = []

    def _match(self, deliveries: Sequence[Delivery]) -> list[Entry]:
        """The entries that the first deliveries repeat; forgets what did not come back."""
        longest = sum(map(len, self._expected))
        redelivered = list(takewhile(lambda delivery: delivery.redelivered, deliveries))
        digests = [content_digest(delivery) for delivery in redelivered[:longest]]
        more_may_come = len(redelivered) == len(deliveries)
        while self._expected:
            entries = [entry for batch in self._expected for entry in batch]
            count = min(len(entries), len(digests))
            whole = count == len(entries) or more_may_come
            if count and whole and all(entries[i][0] == digests[i] for i in range(count)):
                self._expected = [entries[count:]] if entries[count:] else []
                return entries[:count]
            # The broker had heard of this batch after all.
            del self._expected[0]
        return []


def _split(stored: Sequence[Entry]) -> list[list[Entry]]:
    batches: list[list[Entry]] = [[]]
    for entry in stored:
        if entry == BOUNDARY:
            batches.append([])
        else:
            batches[-1].append(entry)
    return [batch for batch in batches if batch]


def _join(batches: list[list[Entry]]) -> list[Entry]:
    joined: list[Entry] = []
    for batch in filter(None, batches):
        if joined:
            joined.append(BOUNDARY)
        joined += batch
    return joined
