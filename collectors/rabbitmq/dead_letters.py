"""Dead letters: claimed as a consumer, and removed one by one.

There is no peeking. Getting and requeueing would count as a delivery each time, and four looks
would empty a quorum queue with `x-delivery-limit: 3`.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from pika.exceptions import ChannelClosedByBroker

from collectors.failures import failure
from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import connect
from collectors.rabbitmq.refusals import not_readable
from collectors.rabbitmq.translate import Content, delivery
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.contract import (
    Confirmed,
    DeadLetter,
    DeadLetterAccess,
    Outcome,
    Refused,
    Unknown,
)
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.events.headers import HeaderValue

__all__ = ["ACCESS", "DeadLetters"]

ACCESS: Final = DeadLetterAccess(
    peeks=False,
    claims=True,
    note="Letters are claimed as by any consumer; nobody else sees them until they are removed or"
    " released. A release counts as a delivery on a quorum queue.",
)


class _Token(NamedTuple):
    connection: int
    """Which connection the letter was claimed on: a delivery tag is valid only there."""
    tag: int


class DeadLetters:
    """See `eventhub.brokers.contract.DeadLetters`. Connects with the first claim."""

    def __init__(self, config: RabbitMQConfig) -> None:
        self._config = config
        self._wire: Wire | None = None
        self._channel: Any = None
        self._connections = 0

    def peek(self, queue: str, limit: int, after: str | None = None) -> list[DeadLetter]:
        raise PermanentFailure(
            "RabbitMQ cannot show a message without delivering it.",
            way_out="Claim the letters, or observe their exchange with a source of its own.",
        )

    def claim(self, queue: str, limit: int, max_wait: float) -> list[DeadLetter]:
        wire = self._ready()
        deadline = time.monotonic() + max_wait
        consumer = self._consume(wire, queue, limit)
        try:
            while len(wire.contents) < limit and (left := deadline - time.monotonic()) > 0:
                wire.pump(left)
        finally:
            wire.call(self._channel.basic_cancel, consumer_tag=consumer)
        claimed = [self._letter(queue, content) for content in wire.contents]
        wire.contents.clear()
        return claimed

    def remove(self, letters: Sequence[DeadLetter]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for letter in letters:
            tag = self._held(letter.token)
            if tag is None:
                outcomes.append(Refused("The claim ended with its connection: it is back."))
            else:
                self._live().send(self._channel.basic_ack, tag)
                outcomes.append(Confirmed())
        try:
            # The channel answers in order: what came before this is done.
            self._live().call(self._channel.basic_qos, prefetch_count=1)
        except (NotConnected, ChannelClosedByBroker) as problem:
            lost = Unknown(f"The removal was not confirmed: {problem}")
            return [lost if isinstance(each, Confirmed) else each for each in outcomes]
        return outcomes

    def release(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            if (tag := self._held(letter.token)) is not None:
                self._live().send(self._channel.basic_nack, tag, requeue=True)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.leave()
            self._wire = None

    def _consume(self, wire: Wire, queue: str, limit: int) -> str:
        try:
            wire.call(self._channel.basic_qos, prefetch_count=limit)
            answer = wire.call(
                self._channel.basic_consume, queue=queue, on_message_callback=_unused
            )
        except ChannelClosedByBroker as refusal:
            self.close()
            raise not_readable(self._config, queue, refusal) from refusal
        tag: str = answer.consumer_tag
        return tag

    def _ready(self) -> Wire:
        if self._wire is None or self._wire.failure is not None:
            self.close()
            self._wire = connect(self._config, "dead letters")
            self._channel = self._wire.open_channel()
            self._connections += 1
        return self._wire

    def _live(self) -> Wire:
        if self._wire is None:
            raise NotConnected("The dead letters are closed.")
        self._wire.check()
        return self._wire

    def _held(self, token: object) -> int | None:
        """The delivery tag of a letter that is still claimed."""
        live = self._wire is not None and self._wire.failure is None
        if live and isinstance(token, _Token) and token.connection == self._connections:
            return token.tag
        return None

    def _letter(self, queue: str, content: Content) -> DeadLetter:
        received = delivery(content)
        named = dict(received.headers)
        death, told = _last_death(named), failure(named)
        origin = death.get("queue")
        count = death.get("count")
        died = death.get("time")
        return DeadLetter(
            # What a dead-letter exchange routed tells its exchange; a letter lies in a queue.
            msgspec.structs.replace(received, destination=queue),
            origin=f"/{origin}" if isinstance(origin, str) else told.origin and f"/{told.origin}",
            reason=_text(death.get("reason")) or told.reason,
            attempts=count if isinstance(count, int) else told.attempts,
            died_at=int(died.timestamp() * 1000) if isinstance(died, datetime) else told.died_at,
            exception=told.exception,
            exception_message=told.exception_message,
            stack_trace=told.stack_trace,
            token=_Token(self._connections, content.tag),
        )


def _last_death(headers: dict[str, HeaderValue]) -> dict[str, HeaderValue]:
    """The newest entry of `x-death` (https://www.rabbitmq.com/docs/dlx#effects)."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    return {}


def _text(value: HeaderValue) -> str | None:
    return value if isinstance(value, str) else None


def _unused(*_: Any) -> None:
    raise AssertionError("the wire takes messages before pika does")
