"""Observing queues by looking into them again and again.

A message that still waits is seen by every look and is one event: what the last look saw is
remembered by its position (`browser.Positions`). What is consumed between two looks is never seen,
so there are no gaps to tell: the mode is sampled, and says so.
"""

import time
from collections import deque
from typing import Any, Final

import msgspec

from collectors.activemq.amqp import dial
from collectors.activemq.browser import Positions, look
from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.names import Name
from collectors.activemq.translate import delivery
from collectors.activemq.wire import Wire
from eventhub.brokers.contract import Delivery, Observation, Received, StartFrom
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Browser"]

_MOST_LOOKED_AT: Final = 10_000
"""Messages of a queue that one look goes through."""


class Browser:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: ActiveMQConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._wire: Wire | None = None
        self._session: Any = None
        self._seen: dict[Name, set[str]] = {}
        self._found: deque[Delivery] = deque()
        self._due = 0.0

    def open(self) -> None:
        if not self._config.names():
            raise PermanentFailure("No queue is chosen.", way_out="Choose at least one queue.")
        self._wire = dial(self._config, f"browse-{self._observation.source_id}")
        try:
            self._session = self._wire.session()
            if self._observation.last_seen is None and self._observation.start is StartFrom.NOW:
                self._look()
                self._found.clear()  # what waits already is from before the beginning
        except BaseException:
            self.close()
            raise

    def receive(self, max_messages: int, max_wait: float) -> Received:
        wire = self._live()
        deadline = time.monotonic() + max_wait
        while not self._found:
            now = time.monotonic()
            if now >= self._due:
                self._look()
            elif now >= deadline:
                return Received([])
            else:
                wire.pump(min(self._due, deadline) - now)
                wire.check()
        count = min(max_messages, len(self._found))
        return Received([self._found.popleft() for _ in range(count)])

    def settle(self, received: Received) -> None:
        """There is nothing to tell: the broker keeps the message for its consumers."""

    def keep_alive(self) -> None:
        wire = self._live()
        wire.pump(0)
        wire.check()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _live(self) -> Wire:
        if self._wire is None:
            raise NotConnected("The source is not connected.")
        self._wire.check()
        return self._wire

    def _look(self) -> None:
        wire = self._live()
        for name in self._config.names():
            before, now = self._seen.get(name, set()), set[str]()
            positions = Positions()
            for raw in look(wire, self._session, self._config, name):
                found = delivery(raw, str(name), known=True)
                position = positions.of(raw, found)
                now.add(position)
                if position not in before:
                    self._found.append(msgspec.structs.replace(found, position=position))
                if len(now) >= _MOST_LOOKED_AT:
                    break
            self._seen[name] = now
        self._due = time.monotonic() + self._config.browse_seconds
