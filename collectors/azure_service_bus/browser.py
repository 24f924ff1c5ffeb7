"""The mode `browse`: looks again and again at what waits, and takes nothing."""

import time
from collections import deque
from typing import Final

from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.peeks import Peeks
from collectors.azure_service_bus.sdk import signing_in
from collectors.azure_service_bus.translate import Incoming, delivery
from eventhub.brokers.contract import Delivery, Observation, Received, StartFrom
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Browser"]

_PAGE: Final = 250
_STATE: Final = b"x-opt-message-state"
_SCHEDULED: Final = 2
_FIRST_OF_A_PARTITION: Final = 2**48
"""Sequence numbers above this have a partition in their top 16 bits: the numbers of a partitioned
entity do not grow with time, so that each look has to begin at the beginning."""


class _View:
    """What was seen of one entity."""

    def __init__(self, peeks: Peeks, start: int) -> None:
        self.peeks = peeks
        self.next = start
        self.partitioned = False
        self.seen: set[int] = set()
        """Of a partitioned entity, the sequence numbers of the last look."""

    def look(self) -> list[Incoming]:
        """What is new since the last look."""
        found: list[Incoming] = []
        start = 0 if self.partitioned else self.next
        while page := self.peeks.peek(start, _PAGE):
            found.extend(page)
            start = page[-1].sequence_number + 1
        if any(each.sequence_number >= _FIRST_OF_A_PARTITION for each in found):
            self.partitioned = True
        numbers = {each.sequence_number for each in found}
        fresh = [each for each in found if each.sequence_number not in self.seen]
        if self.partitioned:
            self.seen = numbers
        else:
            self.next = start
        return fresh


class Browser:
    """See `eventhub.brokers.contract.Consumer`. There is nothing to settle."""

    def __init__(self, config: AzureServiceBusConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._views: list[_View] = []
        self._waiting: deque[tuple[Entity, Incoming]] = deque()
        self._look_at = 0.0

    def open(self) -> None:
        if not self._config.entities:
            raise PermanentFailure(
                "No queue or subscription is chosen.", way_out="Choose at least one to browse."
            )
        self._from = {
            StartFrom.NOW: time.time_ns() // 1_000_000,
            StartFrom.TIME: self._observation.start_time or 0,
        }.get(self._observation.start, 0)
        reached = access(self._config)
        try:
            with signing_in(reached):
                for name in self._config.entities:
                    view = _View(
                        Peeks(reached, Entity.parse(name)),
                        int(self._observation.checkpoint.get(name, 0)),
                    )
                    self._views.append(view)
                    view.peeks.open()
        except BaseException:
            self.close()
            raise
        self._look_at = time.monotonic()

    def receive(self, max_messages: int, max_wait: float) -> Received:
        deadline = time.monotonic() + max_wait
        while not self._waiting:
            self._check()
            now = time.monotonic()
            if now >= self._look_at:
                self._look()
                self._look_at = now + self._config.browse_seconds
            elif now >= deadline:
                break
            else:
                time.sleep(min(deadline, self._look_at) - now)
        deliveries = self._take(max_messages)
        return Received(deliveries, checkpoint={} if self._waiting else self._checkpoint())

    def settle(self, received: Received) -> None:
        self._check()

    def keep_alive(self) -> None:
        self._check()

    def close(self) -> None:
        for view in self._views:
            view.peeks.close()
        self._views.clear()
        self._waiting.clear()

    def _look(self) -> None:
        for view in self._views:
            for incoming in view.look():
                annotations = incoming.message.message_annotations
                # A scheduled message gets another sequence number when its time has come.
                if annotations.get(_STATE) != _SCHEDULED and self._is_asked_for(incoming):
                    self._waiting.append((view.peeks.entity, incoming))

    def _is_asked_for(self, incoming: Incoming) -> bool:
        return bool(self._observation.checkpoint) or (incoming.enqueued or 0) >= self._from

    def _take(self, most: int) -> list[Delivery]:
        some = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        return [delivery(incoming, entity.path) for entity, incoming in some]

    def _checkpoint(self) -> dict[str, str]:
        """Only once everything that was seen has been handed on."""
        return {
            view.peeks.entity.path: str(view.next) for view in self._views if not view.partitioned
        }

    def _check(self) -> None:
        if not self._views:
            raise NotConnected("The consumer is closed.")
