"""Asks the management API, in a thread of its own: an HTTP call must never stall receiving."""

import threading
import time
from contextlib import suppress
from typing import Final

import msgspec

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.management import Management, QueueFigures, Unreadable
from collectors.rabbitmq.tap import Binding

__all__ = ["Bound", "Sample", "Traced", "Watch"]

_EVERY: Final = 2.0
_BINDINGS_EVERY: Final = 5.0


class Sample(msgspec.Struct, frozen=True):
    """Figures of the tap, and when they were asked for (monotonic seconds)."""

    at: float
    figures: QueueFigures


class Bound(msgspec.Struct, frozen=True):
    """The tap's bindings, and when they were asked for (monotonic seconds)."""

    at: float
    bindings: set[Binding]


class Traced(msgspec.Struct, frozen=True):
    """Whether the firehose was on (None: the API does not say), and when that was asked for
    (monotonic seconds)."""

    at: float
    on: bool | None


class Watch:
    """Keeps the last figures of the tap, its bindings, the keys that direct exchanges route by, and
    whether the firehose is on."""

    def __init__(self, config: RabbitMQConfig, queue: str) -> None:
        self.sample: Sample | None = None
        """The last figures; None while the API cannot be read."""
        self.keys: dict[str, set[str]] = {}
        """Of each chosen direct exchange, the keys that others' bindings use."""
        self.bound: Bound | None = None
        """None while the API cannot be read."""
        self.traced: Traced | None = None
        """None while the API cannot be read, and where the mode is not firehose."""
        self._config = config
        self._queue = queue
        self._management = Management(config)
        self._bindings_due = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {queue}", daemon=True)

    def start(self) -> None:
        """The first look is taken here, so that a consumer begins with figures and keys."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        try:
            self.sample = Sample(now, self._management.queue(self._queue))
            if self._config.mode == "firehose":
                self.traced = Traced(now, self._management.tracing())
        except Unreadable:
            self.sample = self.traced = self.bound = None
            return
        if now >= self._bindings_due:
            self._bindings_due = now + _BINDINGS_EVERY
            with suppress(Unreadable):
                self._look_at_bindings()

    def _look_at_bindings(self) -> None:
        now = time.monotonic()
        found = self._management.bindings_to(self._queue)
        self.bound = Bound(now, {(binding.source, binding.routing_key) for binding in found})
        if self._config.mode == "tap" and not self._config.routing_keys:
            self.keys = self._direct_keys()

    def _direct_keys(self) -> dict[str, set[str]]:
        chosen = set(self._config.exchanges)
        return {
            exchange.name: {
                binding.routing_key
                for binding in self._management.bindings_of(exchange.name)
                if binding.destination != self._queue
            }
            for exchange in self._management.exchanges()
            if exchange.name in chosen and exchange.type == "direct"
        }
