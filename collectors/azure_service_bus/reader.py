"""Receiving from one entity with peek-locks: what is in hand, its locks, and settling it."""

import select
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Self, TypeAlias

from azure.servicebus import ServiceBusClient, ServiceBusSubQueue
from azure.servicebus._pyamqp.outcomes import Accepted, Released
from azure.servicebus.exceptions import MessageLockLostError

from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.sdk import (
    LIMITS,
    SECONDS,
    open_within,
    readable,
    refusal,
    sever,
    socket_of,
)
from collectors.azure_service_bus.translate import Incoming
from eventhub.brokers.errors import NotConnected

__all__ = ["RELEASED", "Held", "Reader", "wait_for"]

_LOCKS_A_REQUEST: Final = 500
_HOUSEKEEPING: Final = 10.0
SETTLE_SECONDS: Final = 10.0
Outcome: TypeAlias = "Accepted | Released"
ACCEPTED: Final = Accepted()
RELEASED: Final = Released()


class Held(NamedTuple):
    """A message that is locked for us."""

    delivery_id: int
    tag: bytes
    """Bytes of the lock token."""
    incoming: Incoming


class Reader:
    """One connection. Every call raises NotConnected or PermanentFailure."""

    def __init__(self, client: ServiceBusClient, entity: Entity, prefetch: int) -> None:
        self.entity = entity
        self.held: dict[int, Held] = {}
        """What is locked, by its delivery id: waiting in hand, and received but not settled."""
        self.waiting: deque[Held] = deque()
        self._prefetch = prefetch
        self._receiver: Any = _receiver(client, entity, prefetch)
        self._renew_at = 0.0
        self._half_a_lock = 0.5
        self._worked = 0.0

    def open(self) -> Self:
        open_within(self._receiver, SECONDS, self.entity.path)
        self._worked = time.monotonic()
        return self

    @property
    def readable(self) -> bool:
        """Whether bytes of the broker's wait to be read."""
        return readable(self._receiver)

    @property
    def socket(self) -> Any:
        return socket_of(self._receiver)

    def pump(self, most: int = 0) -> None:
        """Read what is there, without waiting, until `most` messages wait in hand, or all those
        that were asked for: only of those that were read can the locks be kept."""
        most = max(most, self._prefetch)
        self._call(self._grant)
        while len(self.waiting) < most and self.readable:
            self._work()
        if time.monotonic() - self._worked > _HOUSEKEEPING:
            self._work()  # empty frames and new tokens; waits for 0.2 s at most
        self.renew()

    def renew(self) -> None:
        """Keep the locks of all that is in hand, when half of their time is over."""
        if not self.held or time.monotonic() < self._renew_at:
            return
        tokens = [uuid.UUID(bytes_le=held.tag) for held in self.held.values()]
        for start in range(0, len(tokens), _LOCKS_A_REQUEST):
            some = tokens[start : start + _LOCKS_A_REQUEST]
            # One lost lock refuses the request: those messages come again, and their positions
            # tell the store that it has them.
            self._call(partial(self._receiver._renew_locks, *some, timeout=SECONDS))
        self._collect()
        self._renew_at = time.monotonic() + self._half_a_lock

    def settle(self, held: Iterable[Held], outcome: Outcome = ACCEPTED) -> set[int]:
        """Complete (ACCEPTED) or give back (RELEASED), and hear that the broker has done so.

        Returns the delivery ids of those whose lock was lost: they come again. One frame for each
        run of delivery ids, all in flight at once; the SDK's `complete_message` sends one for each
        message and waits for its answer.
        """
        ordered = sorted(held)
        for each in ordered:
            self.held.pop(each.delivery_id, None)
        link = self._receiver._handler._link
        pending = link._pending_dispositions
        answers: dict[int, dict[str, Any]] = {
            each.delivery_id: {"settled": False, "outcome": None} for each in ordered
        }
        pending.update(answers)
        try:
            for run in _runs(ordered):
                first, last, tag = run[0].delivery_id, run[-1].delivery_id, run[0].tag
                link._outgoing_disposition(first, last, tag, False, outcome, None)
            self._hear(answers.values())
        except Exception as error:
            raise refusal(error, self.entity.path) from error
        finally:
            for number in answers:
                pending.pop(number, None)
            link._received_delivery_tags.difference_update(each.tag for each in ordered)
        self._collect()
        return {number for number, told in answers.items() if "rejected" in (told["outcome"] or ())}

    def _hear(self, answers: Collection[dict[str, Any]]) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        handler = self._receiver._handler
        while not all(told["settled"] for told in answers):
            if time.monotonic() > deadline:
                raise NotConnected(
                    f"Service Bus did not answer within {SETTLE_SECONDS:g} s what it did with the"
                    " messages that were settled."
                )
            handler._connection.listen(wait=False)
            handler._link.get_state()  # raises what ended the link

    def sever(self) -> None:
        sever(self._receiver)

    def close(self) -> None:
        """Give back what is in hand, and leave. Never raises."""
        try:
            if self.held:
                self.settle(list(self.held.values()), RELEASED)
        except Exception:
            self.sever()
        try:
            self._receiver.close()
        except Exception:
            self.sever()
        self.held.clear()
        self.waiting.clear()

    def _work(self) -> None:
        self._call(self._do_work)
        self._worked = time.monotonic()
        self._collect()

    def _grant(self) -> None:
        """The SDK grants credit only once there is something to read."""
        link = self._receiver._handler._link
        link.get_state()  # raises what ended the link
        if link.current_link_credit <= 0:
            link.flow(link_credit=self._prefetch)

    def _do_work(self) -> None:
        if not self._receiver._handler.do_work():
            raise NotConnected("The SDK gave up the connection: it could not read a message.")

    def _collect(self) -> None:
        arrived = self._receiver._handler._received_messages
        while not arrived.empty():
            frame, message = arrived.get_nowait()
            held = Held(frame[1], frame[2], Incoming(message, frame[11]))
            if not self.held:
                self._renew_at = time.monotonic() + self._set_lock(message)
            self.held[held.delivery_id] = held
            self.waiting.append(held)

    def _set_lock(self, message: Any) -> float:
        """Half the time that a lock lasts, by what a fresh one says."""
        until = (message.message_annotations or {}).get(b"x-opt-locked-until", 0)
        self._half_a_lock = max((until / 1000 - time.time()) / 2, 0.5)
        return self._half_a_lock

    def _call(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except MessageLockLostError:
            return
        except Exception as error:
            raise refusal(error, self.entity.path) from error


def wait_for(readers: Sequence[Reader], seconds: float) -> None:
    """Until one of them has something to read, at most `seconds`."""
    if any(reader.readable for reader in readers):
        return
    sockets = [reader.socket for reader in readers]
    if None in sockets:
        raise NotConnected("The connection to Service Bus has ended.")
    select.select(sockets, [], [], max(seconds, 0))


def _receiver(client: ServiceBusClient, entity: Entity, prefetch: int) -> Any:
    more: dict[str, Any] = {"prefetch_count": prefetch, **LIMITS}
    if entity.dead_letters:
        more["sub_queue"] = ServiceBusSubQueue.DEAD_LETTER
    if entity.subscription:
        return client.get_subscription_receiver(entity.owner, entity.subscription, **more)
    return client.get_queue_receiver(entity.owner, **more)


def _runs(ordered: Sequence[Held]) -> Iterable[list[Held]]:
    """Stretches of delivery ids without a hole; answers to requests take ids as well."""
    run: list[Held] = []
    for held in ordered:
        if run and held.delivery_id != run[-1].delivery_id + 1:
            yield run
            run = []
        run.append(held)
    if run:
        yield run
