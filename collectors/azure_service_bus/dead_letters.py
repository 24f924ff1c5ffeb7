"""The dead-letter sub-queues of queues and subscriptions.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues
"""

import time
from collections.abc import Sequence
from typing import Final

from azure.servicebus import ServiceBusClient

from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.peeks import Peeks
from collectors.azure_service_bus.plain import PlainReader
from collectors.azure_service_bus.reader import RELEASED, Held, Reader, wait_for
from collectors.azure_service_bus.sdk import client
from collectors.azure_service_bus.translate import Incoming, delivery
from collectors.failures import failure
from eventhub.brokers.contract import Confirmed, DeadLetter, Outcome, Refused, Unknown
from eventhub.brokers.errors import BrokerError
from eventhub.events.headers import HeaderValue

__all__ = ["DeadLetters"]

_PREFETCH: Final = 100
_PAGE: Final = 250


class DeadLetters:
    """See `eventhub.brokers.contract.DeadLetters`. Two connections for each queue at most."""

    def __init__(self, config: AzureServiceBusConfig) -> None:
        self._access = access(config)
        self._client: ServiceBusClient | None = None
        self._peeks: dict[str, Peeks] = {}
        self._readers: dict[str, Reader] = {}

    def peek(self, queue: str, limit: int, after: str | None = None) -> list[DeadLetter]:
        entity = Entity.parse(queue)
        peeks = self._peeks.get(queue)
        if peeks is None:
            peeks = Peeks(self._access, entity)
            peeks.open()
            self._peeks[queue] = peeks
        start = int(after) + 1 if after is not None else 0
        letters: list[DeadLetter] = []
        try:
            while len(letters) < limit:
                page = peeks.peek(start, min(limit - len(letters), _PAGE))
                if not page:
                    break
                letters.extend(_letter(each, queue, entity) for each in page)
                start = page[-1].sequence_number + 1
        except BrokerError:
            self._peeks.pop(queue).close()
            raise
        return letters

    def claim(self, queue: str, limit: int, max_wait: float) -> list[DeadLetter]:
        entity = Entity.parse(queue)
        reader = self._reader(queue, entity)
        deadline = time.monotonic() + max_wait
        try:
            reader.pump(limit)
            while not reader.waiting and (left := deadline - time.monotonic()) > 0:
                wait_for([reader], left)
                reader.pump(limit)
        except BrokerError:
            self._readers.pop(queue).close()
            raise
        count = min(limit, len(reader.waiting))
        taken = [reader.waiting.popleft() for _ in range(count)]
        return [_letter(held.incoming, queue, entity, held) for held in taken]

    def remove(self, letters: Sequence[DeadLetter]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        for reader, held in self._by_reader(letters):
            try:
                lost = reader.settle(held)
            except BrokerError as problem:
                unknown = Unknown(f"{problem} The letter may or may not have been removed.")
                outcomes.update((id(each), unknown) for each in held)
            else:
                outcomes.update(
                    (id(each), _LOST if each.delivery_id in lost else Confirmed()) for each in held
                )
        return [outcomes.get(id(letter.token), _LOST) for letter in letters]

    def release(self, letters: Sequence[DeadLetter]) -> None:
        for reader, held in self._by_reader(letters):
            reader.settle(held, RELEASED)

    def close(self) -> None:
        for peeks in self._peeks.values():
            peeks.close()
        for reader in self._readers.values():
            reader.close()
        self._peeks.clear()
        self._readers.clear()

    def _reader(self, queue: str, entity: Entity) -> Reader:
        if queue not in self._readers:
            if self._client is None:
                self._client = client(self._access)
            self._readers[queue] = PlainReader(self._client, entity, _PREFETCH).open()
        return self._readers[queue]

    def _by_reader(self, letters: Sequence[DeadLetter]) -> list[tuple[Reader, list[Held]]]:
        """Only those that are still claimed by us."""
        grouped: dict[str, list[Held]] = {}
        for letter in letters:
            if isinstance(letter.token, Held):
                grouped.setdefault(letter.delivery.destination, []).append(letter.token)
        found = []
        for queue, held in grouped.items():
            reader = self._readers.get(queue)
            if reader is not None:
                mine = [each for each in held if reader.held.get(each.delivery_id) is each]
                found.append((reader, mine))
        return found


_LOST: Final = Refused("The claim has run out, so the letter is back in its queue.")


def _letter(
    incoming: Incoming, queue: str, entity: Entity, token: Held | None = None
) -> DeadLetter:
    made = delivery(incoming, queue)
    named: dict[str, HeaderValue] = dict(made.headers)
    told = failure(named)
    reason = named.get("DeadLetterReason")
    description = named.get("DeadLetterErrorDescription")
    return DeadLetter(
        delivery=made,
        # A message that was forwarded from another dead-letter queue died elsewhere.
        origin=_origin(named) or entity.owner,
        reason=str(reason) if reason else told.reason,
        attempts=incoming.delivery_count or told.attempts,
        died_at=told.died_at,
        exception=told.exception,
        exception_message=told.exception_message or (str(description) if description else None),
        stack_trace=told.stack_trace,
        token=token,
    )


def _origin(named: dict[str, HeaderValue]) -> str | None:
    source = named.get("servicebus.dead_letter_source")
    return Entity.parse(source).owner if isinstance(source, str) and source else None
