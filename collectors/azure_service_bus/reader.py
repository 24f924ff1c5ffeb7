"""Receiving from one entity with peek-locks: what is in hand, and settling it.

`plain` receives from entities without sessions, `sessions` from those with them.
"""

import math
import select
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, Self, TypeAlias

from azure.servicebus._pyamqp.outcomes import Accepted, Released

from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.sdk import (
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
    link: Any
    """The SDK's link by which it came."""


class Reader(ABC):
    """One connection. Every call raises NotConnected or PermanentFailure."""

    def __init__(self, sdk: Any, entity: Entity, prefetch: int) -> None:
        self.entity = entity
        self.held: dict[int, Held] = {}
        """What is locked, by its delivery id: waiting in hand, and received but not settled."""
        self.waiting: deque[Held] = deque()
        self._sdk = sdk
        self._prefetch = self._most = prefetch
        self._worked = 0.0

    def open(self) -> Self:
        open_within(self._sdk, SECONDS, self.entity.path)
        self._worked = time.monotonic()
        return self

    @property
    def readable(self) -> bool:
        """Whether bytes of the broker's wait to be read."""
        return readable(self._sdk)

    @property
    def socket(self) -> Any:
        return socket_of(self._sdk)

    @property
    def patience(self) -> float:
        """Seconds after which there is something to do even when nothing comes."""
        return math.inf

    def pump(self, most: int = 0) -> None:
        """Read what is there, without waiting, until `most` messages wait in hand, or all those
        that were asked for: only of those that were read can the locks be kept."""
        self._most = max(most, self._prefetch)
        self._call(self._ask)
        while len(self.waiting) < self._most and self.readable:
            self._work()
        if time.monotonic() - self._worked > _HOUSEKEEPING:
            self._work()  # empty frames and new tokens; waits for 0.2 s at most
        self.renew()

    @abstractmethod
    def renew(self) -> None:
        """Keep the locks of all that is in hand, when half of their time is over."""

    @abstractmethod
    def _ask(self) -> None:
        """Let the broker send more. Raises what ended the link."""

    @abstractmethod
    def _check_links(self) -> None:
        """Raises what ended the link by which messages come."""

    def settle(self, held: Iterable[Held], outcome: Outcome = ACCEPTED) -> set[int]:
        """Complete (ACCEPTED) or give back (RELEASED), and hear that the broker has done so.

        Returns the delivery ids of those whose lock was lost: they come again. One frame for each
        run of delivery ids, all in flight at once; the SDK's `complete_message` sends one for each
        message and waits for its answer.
        """
        ordered = sorted(held, key=lambda each: (id(each.link), each.delivery_id))
        answers: dict[int, dict[str, Any]] = {}
        for each in ordered:
            self.held.pop(each.delivery_id, None)
            told = {"settled": False, "outcome": None}
            answers[each.delivery_id] = told
            each.link._pending_dispositions[each.delivery_id] = told
        try:
            for run in _runs(ordered):
                first, last, tag = run[0].delivery_id, run[-1].delivery_id, run[0].tag
                run[0].link._outgoing_disposition(first, last, tag, False, outcome, None)
            self._hear(answers.values())
        except Exception as error:
            raise refusal(error, self.entity.path) from error
        finally:
            for each in ordered:
                each.link._pending_dispositions.pop(each.delivery_id, None)
                each.link._received_delivery_tags.discard(each.tag)
        return {number for number, told in answers.items() if "rejected" in (told["outcome"] or ())}

    def _hear(self, answers: Collection[dict[str, Any]]) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not all(told["settled"] for told in answers):
            if time.monotonic() > deadline:
                raise NotConnected(
                    f"Service Bus did not answer within {SETTLE_SECONDS:g} s what it did with the"
                    " messages that were settled."
                )
            self._sdk._handler._connection.listen(wait=False)
            self._check_links()

    def sever(self) -> None:
        sever(self._sdk)

    def close(self) -> None:
        """Give back what is in hand, and leave. Never raises."""
        try:
            self._give_back()
        except Exception:
            self.sever()
        try:
            self._sdk.close()
        except Exception:
            self.sever()
        self.held.clear()
        self.waiting.clear()

    @abstractmethod
    def _give_back(self) -> None: ...

    def _work(self) -> None:
        self._call(self._turn)
        self._worked = time.monotonic()

    def _turn(self) -> None:
        handler = self._sdk._handler
        handler.do_work()
        if handler._shutdown:
            raise NotConnected("The SDK gave up the connection: it could not read a message.")

    def _arrived(self, link: Any, frame: Any, message: Any) -> None:
        held = Held(frame[1], frame[2], Incoming(message, frame[11]), link)
        self.held[held.delivery_id] = held
        self.waiting.append(held)

    def _grant(self, link: Any) -> None:
        """The SDK grants credit only once all is used up; with half of it left, the broker need
        not wait for us."""
        if link.current_link_credit <= self._prefetch // 2 and len(self.waiting) < self._most:
            link.flow(link_credit=self._prefetch)

    def _call(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:
            raise refusal(error, self.entity.path) from error


def wait_for(readers: Sequence[Reader], seconds: float) -> None:
    """Until one of them has something to read or to do, at most `seconds`."""
    if any(reader.readable for reader in readers):
        return
    sockets = [reader.socket for reader in readers]
    if None in sockets:
        raise NotConnected("The connection to Service Bus has ended.")
    patience = min(reader.patience for reader in readers)
    select.select(sockets, [], [], max(min(seconds, patience), 0))


def _runs(ordered: Sequence[Held]) -> Iterable[list[Held]]:
    """Stretches of delivery ids of one link without a hole; answers to requests take ids too."""
    run: list[Held] = []
    for held in ordered:
        if run and (held.delivery_id != run[-1].delivery_id + 1 or held.link is not run[0].link):
            yield run
            run = []
        run.append(held)
    if run:
        yield run
