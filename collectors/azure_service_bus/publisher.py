"""Sending to queues and topics: batches filled by size, many in flight, the broker's word on each.

A batch is one transfer that Service Bus takes or refuses as a whole:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-performance-improvements
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from azure.servicebus import ServiceBusClient, ServiceBusMessageBatch
from azure.servicebus._pyamqp.constants import LinkDeliverySettleReason
from azure.servicebus._pyamqp.message import BatchMessage
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.exceptions import MessageSizeExceededError

from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.sdk import (
    LIMITS,
    SECONDS,
    NoSuchEntity,
    NotAllowed,
    client,
    open_within,
    readable,
    refusal,
    sever,
    words,
)
from collectors.azure_service_bus.translate import Outgoing, Unwritable, outgoing
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import NotConnected

__all__ = ["PUBLISHES_TO", "Publisher"]

PUBLISHES_TO: Final = "name of a queue or topic"
_CONFIRM_SECONDS: Final = 15.0
_CREDIT_SECONDS: Final = 2.0
_IN_FLIGHT: Final = 8


class Publisher:
    """See `eventhub.brokers.contract.Publisher`. A connection for each target, made when needed."""

    def __init__(self, config: AzureServiceBusConfig) -> None:
        self._config = config
        self._client: ServiceBusClient | None = None
        self._senders: dict[str, _Sender] = {}

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        """One connection for each target keeps the order of its messages.

        Raises NotConnected or PermanentFailure where nothing was sent.
        """
        if not messages:
            return []
        if Entity.parse(target) != Entity(target):
            why = "Service Bus takes messages for queues and topics, not for subscriptions."
            return [Refused(why)] * len(messages)
        try:
            sender = self._sender(target)
        except (NoSuchEntity, NotAllowed) as problem:
            return [Refused(str(problem))] * len(messages)
        outcomes = sender.send(messages)
        if sender.broken:
            self._senders.pop(target).close()
        return outcomes

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()
        self._senders.clear()

    def _sender(self, target: str) -> "_Sender":
        sender = self._senders.get(target)
        if sender is not None and sender.is_alive():
            return sender
        if sender is not None:
            self._senders.pop(target).close()
        if self._client is None:
            self._client = client(access(self._config))
        made = _Sender(self._client, target)
        self._senders[target] = made
        return made


class _Sender:
    """One link to one queue or topic."""

    def __init__(self, client: ServiceBusClient, target: str) -> None:
        self.broken = False
        self._target = target
        self._sender: Any = client.get_queue_sender(target, **LIMITS)  # a topic's is the same
        open_within(self._sender, SECONDS, target)
        try:
            self._hear_of_credit()
        except Exception as error:
            self.close()
            raise refusal(error, target) from error

    def _hear_of_credit(self) -> None:
        """Service Bus lets a link open that it refuses, and then closes it: only one that gets
        credit was accepted. The SDK sends without waiting for it."""
        handler = self._sender._handler
        deadline = time.monotonic() + _CREDIT_SECONDS
        while handler._link.current_link_credit == handler._link.link_credit:
            if time.monotonic() > deadline:
                return
            handler._connection.listen(wait=False)
            handler._link.get_state()  # raises what ended the link

    def is_alive(self) -> bool:
        """As far as can be known without sending: what the broker has said meanwhile is read."""
        try:
            while readable(self._sender):
                self._sender._handler.do_work()
            self._sender._handler.auth_complete()
            self._sender._handler._link.get_state()
        except Exception:
            return False
        return True

    def send(self, messages: Sequence[Message]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(messages)
        flights = self._flights(messages, outcomes)
        try:
            self._send(flights, outcomes)
        except Exception as error:
            self.broken = True
            problem = refusal(error, self._target)
            unknown = Unknown(f"{problem} The message may or may not have arrived.")
            return [outcome or unknown for outcome in outcomes]
        return [outcome for outcome in outcomes if outcome is not None]

    def _send(self, flights: Iterator["_Flight"], outcomes: list[Outcome | None]) -> None:
        flying: list[_Flight] = []
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while True:
            while len(flying) < _IN_FLIGHT and (flight := next(flights, None)) is not None:
                flying.append(flight)
                self._sender._handler._link.send_transfer(
                    flight.content, on_send_complete=flight.answered, send_async=True
                )
            if not flying:
                return
            self._sender._handler.do_work()
            for flight in [flight for flight in flying if flight.outcome is not None]:
                flying.remove(flight)
                for place in flight.places:
                    outcomes[place] = flight.outcome
                deadline = time.monotonic() + _CONFIRM_SECONDS
            if time.monotonic() > deadline:
                raise NotConnected(f"Service Bus did not answer within {_CONFIRM_SECONDS:g} s.")

    def close(self) -> None:
        """Never raises."""
        try:
            self._sender.close()
        except Exception:
            sever(self._sender)

    def _flights(
        self, messages: Sequence[Message], outcomes: list[Outcome | None]
    ) -> Iterator["_Flight"]:
        """What to transfer, in order; the outcomes of what cannot be sent are set here."""
        batch, places = self._batch(), list[int]()
        together: tuple[str | None, str | None] = (None, None)
        for place, message in enumerate(messages):
            try:
                made = outgoing(message)
            except Unwritable as problem:
                outcomes[place] = Refused(f"Service Bus cannot carry this: {problem}.")
                continue
            if not (made.goes_with == together and _added(batch, made)):
                if places:
                    yield _Flight(places, _content(batch))
                batch, places, together = self._batch(), [], made.goes_with
                if not _added(batch, made):  # too large for a batch, not yet for a message
                    alone = PyamqpTransport.to_outgoing_amqp_message(made.message)
                    if (problem_of_size := self._too_large(alone)) is not None:
                        outcomes[place] = problem_of_size
                    else:
                        yield _Flight([place], alone)
                    continue
            places.append(place)
        if places:
            yield _Flight(places, _content(batch))

    def _batch(self) -> ServiceBusMessageBatch:
        batch: ServiceBusMessageBatch = self._sender.create_message_batch()
        return batch

    def _too_large(self, message: Any) -> Refused | None:
        limit = self._sender._max_message_size_on_link
        if PyamqpTransport.get_message_encoded_size(message) <= limit:
            return None
        return Refused(f"The message is larger than the {limit:,} bytes that the entity allows.")


class _Flight:
    """A transfer: which messages are in it, and what became of them."""

    def __init__(self, places: list[int], content: Any) -> None:
        self.places = places
        self.content = content
        self.outcome: Outcome | None = None

    def answered(self, reason: Any, state: Any) -> None:
        if reason != LinkDeliverySettleReason.DISPOSITION_RECEIVED or not state:
            self.outcome = Unknown("The connection ended before Service Bus answered.")
        elif "accepted" in state:
            self.outcome = Confirmed()
        elif "rejected" in state:
            condition, description = (state["rejected"][0] or [b"", b""])[:2]
            said = (description or condition or b"").decode("utf-8", "replace")
            self.outcome = Refused(_refused(words(RuntimeError(said))))
        else:
            self.outcome = Refused(f"Service Bus did not take it: {state!r}")


def _refused(said: str) -> str:
    if "SessionId was not set" in said:
        return (
            "The entity requires sessions, and the message has no session id."
            " Give it a key, which becomes its session id."
        )
    return f"Service Bus refused it: {said}"


def _added(batch: ServiceBusMessageBatch, made: Outgoing) -> bool:
    try:
        batch.add_message(made.message)
    except MessageSizeExceededError:
        return False
    return True


def _content(batch: ServiceBusMessageBatch) -> Any:
    return BatchMessage(*batch._message)
