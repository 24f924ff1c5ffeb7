"""Periodic work on what is stored."""

import logging
import time
from typing import Final

from celery import shared_task

from eventhub.sources.models import Source
from eventhub.store.contract import EventRetention, Pruned, StoreUnavailable
from eventhub.store.engine import open_retention

__all__ = ["apply_retention"]

logger = logging.getLogger(__name__)

SECONDS: Final = 50.0
"""How long one run may take: the next begins after 60."""
DAY: Final = 86_400_000
"""Milliseconds."""


@shared_task
def apply_retention() -> None:
    """Remove what is too old or too much of each source, and all of the sources that are gone.

    The sources take turns, so that a large one does not keep the others from theirs.
    """
    deadline = time.monotonic() + SECONDS
    retention = open_retention()
    try:
        # First what is kept, then what is wanted: a source added in between is not taken for gone.
        pending = retention.sources()
        limits = {
            source.pk: (source.retention_days, source.retention_bytes)
            for source in Source.objects.exclude(desired=Source.Desired.DELETED)
        }
        removed = 0
        while pending and time.monotonic() < deadline:
            for source_id in sorted(pending):
                pruned = _turn(retention, source_id, limits.get(source_id))
                removed += pruned.events
                if not pruned.more:
                    pending.discard(source_id)
    except StoreUnavailable as error:
        logger.warning("Retention waits for the store: %s", error)
        return
    if removed:
        logger.info("Retention removed %d events.", removed)


def _turn(retention: EventRetention, source_id: int, limit: tuple[int, int] | None) -> Pruned:
    if limit is None:
        return retention.forget(source_id)
    days, size = limit
    older_than = int(time.time() * 1000) - days * DAY
    return retention.prune(source_id, older_than=older_than, max_bytes=size)
