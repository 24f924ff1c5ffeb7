"""All scenarios at once."""

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from collectors.demo.bus import Bus, OpenBus
from collectors.demo.chat import CHAT
from collectors.demo.payments import PAYMENTS
from collectors.demo.scenario import Scenario, Service
from collectors.demo.sensors import SENSORS
from collectors.demo.shop import SHOP
from collectors.demo.ticks import TICKS
from collectors.demo.workers import ProducerWorker, ServiceWorker

__all__ = ["SCENARIOS", "City"]

SCENARIOS: Final = (SHOP, TICKS, CHAT, SENSORS, PAYMENTS)
LISTEN_SECONDS: Final = 2.0
"""How long producers wait for the services to listen."""


class City:
    """`rate` is events a second over all scenarios, with what services answer, on average.

    `buses` tells for each scenario, by its name, on which broker it runs. It ends when `stop` is
    set.
    """

    def __init__(
        self, buses: Mapping[str, OpenBus], stop: threading.Event, *, seed: int, rate: float
    ) -> None:
        self._stop = stop
        self._services: list[ServiceWorker] = []
        self._producers: list[ProducerWorker] = []
        for scenario in SCENARIOS:
            opening = partial(_open, buses[scenario.name], scenario)
            self._services += [
                ServiceWorker(service, seed, partial(opening, service), self._stop)
                for service in scenario.services
            ]
            self._producers += [
                ProducerWorker(
                    producer,
                    rate * producer.share / producer.events_each,
                    seed,
                    partial(opening, None),
                    self._stop,
                )
                for producer in scenario.producers
            ]

    def start(self) -> None:
        """Services first, so that they hear the producers from their first word."""
        for service in self._services:
            service.start()
        deadline = time.monotonic() + LISTEN_SECONDS
        for service in self._services:
            while not service.ready.wait(0.05):
                if self._stop.is_set() or time.monotonic() > deadline:
                    break
        for producer in self._producers:
            producer.start()

    def stop(self, seconds: float = 1.5) -> None:
        """Ask all to stop, and wait so long for them."""
        self._stop.set()
        deadline = time.monotonic() + seconds
        for worker in (*self._producers, *self._services):
            if worker.ident is not None:
                worker.join(max(deadline - time.monotonic(), 0))


def _open(open_bus: OpenBus, scenario: Scenario, service: Service | None) -> Bus:
    return open_bus(scenario, service)
