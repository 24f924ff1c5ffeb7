"""How full the queues are, from the management API: one call for 500 queues.

The figures lag by the node's statistics interval, 5 s unless configured
(https://www.rabbitmq.com/docs/management#statistics-interval).
"""

import time
from typing import Final

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.discovery import dead_letter_queues
from collectors.rabbitmq.management import Flow, Management, QueueDepth, Unreadable
from eventhub.brokers.contract import Depth, Depths
from eventhub.brokers.errors import NotConnected

__all__ = ["DepthProbe"]

_PAGE: Final = 500
"""The largest page that the API gives."""
_STRUCTURE_EVERY: Final = 60.0
"""Seconds between two looks at which queues hold dead letters."""


class DepthProbe:
    """See `eventhub.brokers.contract.DepthProbe`. Each call is a request of its own."""

    def __init__(self, config: RabbitMQConfig) -> None:
        self._config = config
        self._management = Management(config, timeout=5.0)
        self._dead: set[str] = set()
        self._look_due = 0.0

    def sample(self, limit: int) -> Depths:
        try:
            return self._sample(limit)
        except Unreadable as problem:
            raise NotConnected(
                f"Depths come from the management API at {self._config.management()}. {problem}",
                way_out="Enable the plugin, and give the user the tag `monitoring`.",
            ) from problem

    def close(self) -> None:
        """Nothing is held."""

    def _sample(self, limit: int) -> Depths:
        if time.monotonic() >= self._look_due:
            self._dead = dead_letter_queues(self._management.queues(), self._management.bindings())
            self._look_due = time.monotonic() + _STRUCTURE_EVERY
        found: list[QueueDepth] = []
        page, pages, total = 1, 1, 0
        while page <= pages and len(found) < limit:
            answer = self._management.deepest(page, min(limit, _PAGE))
            found += answer.items
            pages, total = answer.page_count, answer.filtered_count
            page += 1
        samples = [_depth(queue, queue.name in self._dead) for queue in found[:limit]]
        return Depths(samples, max(0, total - len(samples)))


def _depth(queue: QueueDepth, dead_letters: bool) -> Depth:
    flow = queue.message_stats if isinstance(queue.message_stats, Flow) else None
    return Depth(
        queue.name,
        waiting=queue.messages_ready,
        in_flight=queue.messages_unacknowledged,
        consumers=queue.consumers,
        in_rate=flow.publish_details.rate if flow else None,
        out_rate=flow.deliver_get_details.rate if flow else None,
        oldest_age=_age(queue.head_message_timestamp),
        dead_letters=dead_letters,
    )


def _age(timestamp: int | str | None) -> int | None:
    """Milliseconds. The broker knows no arrival time: this is the producer's timestamp property."""
    if not isinstance(timestamp, int) or timestamp <= 0:
        return None
    return max(0, time.time_ns() // 1_000_000 - timestamp * 1000)
