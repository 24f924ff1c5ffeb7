"""The modes `tap` and `consume`: receives with peek-locks, and completes what was stored."""

import time
from typing import Final, cast

from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.administration import Administration
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.plain import PlainReader
from collectors.azure_service_bus.reader import Reader, wait_for
from collectors.azure_service_bus.sdk import NeedsSessions, NoSuchEntity, client, signing_in
from collectors.azure_service_bus.sessions import SessionReader
from collectors.azure_service_bus.tap import ensure, tapped
from collectors.azure_service_bus.translate import delivery
from eventhub.brokers.contract import Delivery, Gap, Observation, Received
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Consumer"]

_TAP_PREFETCH: Final = 1_000
_CONSUME_PREFETCH: Final = 100
"""Fewer: what lies here locked is kept from the other consumers of the queue."""
_MOST_HELD: Final = 10_000
_KEEP_CONNECTED: Final = 1.0
_BATCH_BYTES: Final = 64 * 1024 * 1024


class Consumer:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: AzureServiceBusConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._readers: list[Reader] = []
        self._gaps: list[Gap] = []

    def open(self) -> None:
        self._caught_up = self._observation.last_seen or _now()
        try:
            self._read(self._ensure_taps() if self._config.mode == "tap" else self._chosen())
        except BaseException:
            self.close()
            raise

    def receive(self, max_messages: int, max_wait: float) -> Received:
        deadline = time.monotonic() + max_wait
        readers = self._connected()
        while True:
            in_hand = sum(len(reader.waiting) for reader in readers)
            held = sum(len(reader.held) for reader in readers)
            if in_hand < max_messages and held < _MOST_HELD:
                self._pump(readers, max_messages)
            elif held >= _MOST_HELD:
                self._renew()
            if self._gaps or any(reader.waiting for reader in readers):
                break
            now = time.monotonic()
            if now >= deadline:
                self._expired(_now())
                break
            self._wait(readers, min(deadline - now, _KEEP_CONNECTED), held < _MOST_HELD)
        return self._take(readers, max_messages)

    def settle(self, received: Received) -> None:
        """Completes these and, like RabbitMQ's `multiple`, what was received before them."""
        self._connected()
        for reader, last in cast("list[tuple[Reader, int]]", received.token):
            reader.settle(held for number, held in reader.held.items() if number <= last)

    def keep_alive(self) -> None:
        self._pump(self._connected(), 0)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self._readers = []

    def _ensure_taps(self) -> list[Entity]:
        taps = tapped(self._config, self._observation)
        if self._config.subscription:
            return taps  # the operator's: opening it tells whether it is there
        administration = Administration(access(self._config))
        try:
            made = [tap for tap in taps if ensure(administration, self._config, tap)]
        finally:
            administration.close()
        if self._observation.last_seen is not None:
            reason = "the tap had expired, or somebody had removed it"
            started = self._observation.last_seen
            self._gaps = [Gap(reason, started, _now(), destination=tap.owner) for tap in made]
        if made == taps:
            self._caught_up = _now()
        return taps

    def _chosen(self) -> list[Entity]:
        if not self._config.entities:
            raise PermanentFailure(
                "No queue or subscription is chosen.", way_out="Choose at least one to consume."
            )
        return [Entity.parse(name) for name in self._config.entities]

    def _read(self, entities: list[Entity]) -> None:
        reached = access(self._config)
        connected = client(reached)
        with signing_in(reached):
            for entity in entities:
                reader = PlainReader(connected, entity, self._prefetch)
                self._readers.append(reader)
                reader.open()

    @property
    def _prefetch(self) -> int:
        return _TAP_PREFETCH if self._config.mode == "tap" else _CONSUME_PREFETCH

    def _take(self, readers: list[Reader], most: int) -> Received:
        last: list[tuple[Reader, int]] = []
        size = 0
        deliveries: list[Delivery] = []
        for reader in readers:
            name = self._destination(reader.entity)
            had = len(deliveries)
            while reader.waiting and len(deliveries) < most and size < _BATCH_BYTES:
                held = reader.waiting.popleft()
                deliveries.append(delivery(held.incoming, name))
                size += len(deliveries[-1].payload)
            if len(deliveries) > had:
                last.append((reader, held.delivery_id))
        # The next batch begins with another entity, so that a busy one does not hide the others.
        self._readers = [*readers[1:], readers[0]]
        if deliveries and deliveries[-1].broker_time is not None:
            self._expired(deliveries[-1].broker_time)
        gaps, self._gaps = self._gaps, []
        return Received(deliveries, gaps, token=last)

    def _destination(self, entity: Entity) -> str:
        return entity.owner if self._config.mode == "tap" else entity.path

    def _expired(self, moment: int) -> None:
        """All that was there until `moment` has been received; what had waited for longer than
        the tap keeps it is gone without a trace, and that is a gap."""
        keeps = self._config.tap_keep_minutes * 60_000
        if self._config.mode == "tap" and not self._config.subscription:
            until = _now() - keeps
            if self._caught_up < until:
                self._gaps.append(
                    Gap("messages had waited too long and expired", self._caught_up, until)
                )
        self._caught_up = max(self._caught_up, moment)

    def _pump(self, readers: list[Reader], most: int) -> None:
        """Whether an entity requires sessions is known by its refusal of a plain link: asking the
        administration API takes the right 'Manage'."""
        try:
            for place, reader in enumerate(readers):
                try:
                    reader.pump(most)
                except NeedsSessions:
                    reader.close()
                    made = SessionReader(access(self._config), reader.entity, self._prefetch)
                    readers[place] = made.open()
                    made.pump(most)
        except NoSuchEntity as error:
            if self._config.mode != "tap" or self._config.subscription:
                raise
            raise NotConnected("Somebody removed the tap, or it expired.") from error

    def _renew(self) -> None:
        for reader in self._readers:
            reader.renew()

    def _wait(self, readers: list[Reader], seconds: float, may_read: bool) -> None:
        if may_read:
            wait_for(readers, seconds)
        else:
            time.sleep(min(seconds, 0.1))

    def _connected(self) -> list[Reader]:
        if not self._readers:
            raise NotConnected("The consumer is closed.")
        return self._readers


def _now() -> int:
    return time.time_ns() // 1_000_000
