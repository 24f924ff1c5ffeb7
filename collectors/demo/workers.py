"""The threads of the city: one a producer, one a service, each a client of its own."""

import heapq
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Final

from collectors.demo.bus import Bus, BusAway, Letter
from collectors.demo.scenario import Failed, Producer, Service
from eventhub.brokers.backoff import delay

__all__ = ["ProducerWorker", "ServiceWorker"]

logger = logging.getLogger(__name__)

LONGEST_WAIT: Final = 5.0
"""Seconds between two tries to reach a broker, at most."""
ATTEMPTS: Final = 3
BUSY: Final = 500
"""Letters in hand from which on a service takes no time over them."""


class _Worker(threading.Thread, ABC):
    """Keeps a bus open until `stop` is set, with backoff while the broker is away."""

    def __init__(self, name: str, open_bus: Callable[[], Bus], stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._open_bus = open_bus
        self._stop_asked = stop
        self.ready = threading.Event()
        """Set once it is connected for the first time."""

    def run(self) -> None:
        attempt = 0
        while not self._stop_asked.is_set():
            try:
                bus = self._open_bus()
                self.ready.set()
                attempt = 0
                try:
                    self._work(bus)
                finally:
                    bus.close()
            except BusAway as error:
                attempt += 1
                if attempt == 1:
                    logger.warning("%s: the broker is away: %s", self.name, error)
                self._stop_asked.wait(delay(attempt, LONGEST_WAIT))

    @abstractmethod
    def _work(self, bus: Bus) -> None:
        """Until told to stop. Raises BusAway."""


class ProducerWorker(_Worker):
    """Publishes at `rate` messages a second on average."""

    def __init__(
        self, producer: Producer, rate: float, seed: int, open_bus: Callable[[], Bus],
        stop: threading.Event,
    ) -> None:  # fmt: skip
        super().__init__(producer.name, open_bus, stop)
        self._messages = producer.messages(Random(f"{seed}:{producer.name}"))  # noqa: S311
        self._interval = 1 / rate
        self._pace = Random()  # noqa: S311  (when, not what: that is the seed's)

    def _work(self, bus: Bus) -> None:
        due = time.monotonic()
        while not self._stop_asked.wait(max(due - time.monotonic(), 0)):
            bus.publish(next(self._messages))
            # What was not said while the broker was away is not made up for in a burst.
            due = max(due, time.monotonic() - 1) + self._interval * self._pace.uniform(0.5, 1.5)


class ServiceWorker(_Worker):
    """Handles what comes, tries again what fails, and buries what fails for good."""

    def __init__(
        self, service: Service, seed: int, open_bus: Callable[[], Bus], stop: threading.Event
    ) -> None:
        super().__init__(service.name, open_bus, stop)
        self._service = service
        self._seed = seed
        self._pace = Random()  # noqa: S311
        self._in_hand: list[tuple[float, int, Letter, int]] = []
        """(when it is due, a number that settles ties, the letter, its attempt): a heap."""
        self._taken = 0

    def _work(self, bus: Bus) -> None:
        self._in_hand = []
        while not self._stop_asked.is_set():
            now = time.monotonic()
            next_due = self._in_hand[0][0] if self._in_hand else now + 0.2
            for letter in bus.receive(min(max(next_due - now, 0), 0.2)):
                self._take(letter, attempt=1)
            while self._in_hand and self._in_hand[0][0] <= time.monotonic():
                _, _, letter, attempt = heapq.heappop(self._in_hand)
                self._attempt(bus, letter, attempt)

    def _take(self, letter: Letter, attempt: int) -> None:
        seconds = self._service.seconds * self._pace.uniform(0.5, 1.5)
        due = time.monotonic() + (0 if len(self._in_hand) > BUSY else seconds)
        self._taken += 1
        heapq.heappush(self._in_hand, (due, self._taken, letter, attempt))

    def _attempt(self, bus: Bus, letter: Letter, attempt: int) -> None:
        service, message = self._service, letter.message
        key = f"{self._seed}:{service.name}:{message.id}"
        try:
            if Random(f"{key}:{attempt}").random() < service.trouble:  # noqa: S311
                raise Failed(service.trouble_reason)
            answers = service.handle(message, Random(key))  # noqa: S311
        except Failed as failure:
            if attempt < ATTEMPTS:
                self._take(letter, attempt + 1)
            else:
                bus.bury(letter, str(failure), attempt)
            return
        for answer in answers:
            bus.publish(answer)
        bus.done(letter)
