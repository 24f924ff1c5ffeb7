"""Receiving from an entity without sessions: one link, and a lock for each message."""

import time
import uuid
from functools import partial
from typing import Any, Final, Self

from azure.servicebus import ServiceBusClient, ServiceBusSubQueue
from azure.servicebus.exceptions import MessageLockLostError

from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.reader import RELEASED, Reader
from collectors.azure_service_bus.sdk import LIMITS, SECONDS

__all__ = ["PlainReader"]

_LOCKS_A_REQUEST: Final = 500


class PlainReader(Reader):
    """See `Reader`."""

    def __init__(self, client: ServiceBusClient, entity: Entity, prefetch: int) -> None:
        super().__init__(_receiver(client, entity, prefetch), entity, prefetch)
        self._renew_at = 0.0
        self._half_a_lock = 0.5

    def open(self) -> Self:
        super().open()
        # No message comes before `_ask`. The SDK would put each into a queue for other threads.
        self._link._on_transfer = partial(self._arrived, self._link)
        return self

    @property
    def _link(self) -> Any:
        return self._sdk._handler._link

    def renew(self) -> None:
        if not self.held or time.monotonic() < self._renew_at:
            return
        tokens = [uuid.UUID(bytes_le=held.tag) for held in self.held.values()]
        for start in range(0, len(tokens), _LOCKS_A_REQUEST):
            self._call(partial(self._renew, tokens[start : start + _LOCKS_A_REQUEST]))
        self._renew_at = time.monotonic() + self._half_a_lock

    def _renew(self, tokens: list[uuid.UUID]) -> None:
        try:
            self._sdk._renew_locks(*tokens, timeout=SECONDS)
        except MessageLockLostError:
            # One lost lock refuses the request: those messages come again, and their positions
            # tell the store that it has them.
            return

    def _ask(self) -> None:
        self._check_links()
        self._grant(self._link)

    def _check_links(self) -> None:
        self._link.get_state()

    def _arrived(self, link: Any, frame: Any, message: Any) -> None:
        if not self.held:
            self._renew_at = time.monotonic() + self._set_lock(message)
        super()._arrived(link, frame, message)
        self._grant(link)

    def _set_lock(self, message: Any) -> float:
        """Half the time that a lock lasts, by what a fresh one says."""
        until = (message.message_annotations or {}).get(b"x-opt-locked-until", 0)
        self._half_a_lock = max((until / 1000 - time.time()) / 2, 0.5)
        return self._half_a_lock

    def _give_back(self) -> None:
        handler = self._sdk._handler
        if handler is not None and handler._link is not None:
            # Closing takes in what is on its way, and gives that back.
            handler._link._on_transfer = handler._message_received
        if self.held:
            self.settle(list(self.held.values()), RELEASED)


def _receiver(client: ServiceBusClient, entity: Entity, prefetch: int) -> Any:
    more: dict[str, Any] = {"prefetch_count": prefetch, **LIMITS}
    if entity.dead_letters:
        more["sub_queue"] = ServiceBusSubQueue.DEAD_LETTER
    if entity.subscription:
        return client.get_subscription_receiver(entity.owner, entity.subscription, **more)
    return client.get_queue_receiver(entity.owner, **more)
