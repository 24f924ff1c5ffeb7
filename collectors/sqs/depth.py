"""How many messages wait in each queue: approximately, as SQS counts.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
The age of the oldest message is in CloudWatch only, minutes late and at a price: it is left out.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from collectors.sqs.account import AT_ONCE, QueueFacts, ask_queues, list_queues
from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import Clients
from collectors.sqs.queues import name_of
from eventhub.brokers.contract import Depth, Depths

__all__ = ["DepthProbe"]

_LIST_EVERY: Final = 60.0
"""Seconds between two looks at which queues there are."""


class DepthProbe:
    """See `eventhub.brokers.contract.DepthProbe`."""

    def __init__(self, config: SQSConfig) -> None:
        self._config = config
        self._clients = Clients(config, attempts=2, connections=AT_ONCE)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="measure SQS")
        self._urls: list[str] = []
        self._waiting: dict[str, int] = {}
        self._dead: set[str] = set()
        self._list_due = 0.0

    def sample(self, limit: int) -> Depths:
        sqs = self._clients.get("sqs")
        if time.monotonic() >= self._list_due:
            self._urls = list_queues(sqs, self._config)
            self._list_due = time.monotonic() + _LIST_EVERY
        chosen = {name_of(queue) for queue in (*self._config.queues, self._config.tap_queue)}
        # Depth is not known before it is asked for: the configured ones, then those that were
        # dead-letter queues or deep the last time.
        order = sorted(
            self._urls,
            key=lambda url: (
                name_of(url) not in chosen,
                name_of(url) not in self._dead,
                -self._waiting.get(url, 0),
            ),
        )
        told = [facts for facts in ask_queues(sqs, order[:limit], self._pool) if facts is not None]
        self._waiting |= {facts.url: facts.waiting or 0 for facts in told}
        self._dead |= {facts.dead_letter_queue for facts in told if facts.dead_letter_queue}
        samples = [_depth(facts, facts.name in self._dead) for facts in told]
        return Depths(samples, len(self._urls) - len(samples))

    def close(self) -> None:
        self._pool.shutdown()
        self._clients.close()


def _depth(facts: QueueFacts, dead_letters: bool) -> Depth:
    """Delayed messages wait too: nobody has received them."""
    waiting = None if facts.waiting is None else facts.waiting + (facts.delayed or 0)
    return Depth(facts.name, waiting, facts.in_flight, dead_letters=dead_letters)
