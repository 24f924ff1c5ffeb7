"""Publishes with confirms: mandatory, persistent, many in flight.

A message that the broker objects to (its exchange is missing, its user id is forged) closes the
channel, and nothing says which of those in flight it was. So the window begins at one message and
doubles with each confirm, as TCP's does: an objection to the target meets one message at a time,
and an objection to a single message later leaves those beside it unknown, never guessed.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from pika.spec import Basic

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import connect
from collectors.rabbitmq.translate import Properties, Unwritable, properties
from collectors.rabbitmq.wire import Returned, Wire
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import BrokerError, NotConnected

__all__ = ["PUBLISHES_TO", "Publisher", "route"]

PUBLISHES_TO: Final = (
    "exchange, or exchange/routing.key (without a key, the message's own); /queue for a queue, by"
    " the default exchange. A slash in an exchange's name is written %2F."
)
_CONFIRM_SECONDS: Final = 10.0
_FRAME_OVERHEAD: Final = 20
_WINDOW: Final = 1_000
"""Messages in flight at most: what the broker's answers to them fill of its socket's buffer is
read while more are sent."""
_READ_EVERY: Final = 100


def route(target: str, key: str | bytes | None) -> tuple[str, str]:
    """Exchange and routing key of a target; the message's own key where the target has none."""
    exchange, slash, routing_key = target.partition("/")
    if not slash:
        own = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
        routing_key = own or ""
    return unquote(exchange), routing_key


class _Ready(msgspec.Struct):
    """A message that can be sent, and what became of it."""

    exchange: str
    key: str
    properties: Properties
    body: bytes
    risky: bool
    """Whether the broker may object to it alone (it checks the user id)."""
    returned: str = ""
    outcome: Outcome | None = None

    def likeness(self, found: Returned) -> int:
        """How much of what came back is this message: 3 is all of it."""
        if found.body != self.body:
            return 0
        same_key = found.routing_key == self.key.encode("utf-8", "surrogateescape")
        return 1 + same_key + (found.header == self.properties.raw)


class Publisher:
    """See `eventhub.brokers.contract.Publisher`. Connects with the first message."""

    def __init__(self, config: RabbitMQConfig) -> None:
        self._config = config
        self._wire: Wire | None = None
        self._channel: Any = None
        self._in_flight: dict[int, _Ready] = {}
        """By delivery tag, oldest first."""
        self._tag = 0
        self._window = 1

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        prepared = [self._prepare(message, target) for message in messages]
        sent_any = False
        for entry in prepared:
            if isinstance(entry, Refused):
                continue
            try:
                self._make_room(1 if entry.risky else self._window)
                wire = self._ready()
                self._check_size(wire, entry)
            except BrokerError as problem:
                if not sent_any:
                    raise
                entry.outcome = Refused(f"Not sent: {problem}")
                continue
            if entry.outcome is None:
                self._send(wire, entry)
                sent_any = True
        self._make_room(1)
        return [
            entry if isinstance(entry, Refused) else entry.outcome or Unknown("No answer.")
            for entry in prepared
        ]

    def close(self) -> None:
        if self._wire is not None:
            self._wire.leave()
            self._wire = None

    def _prepare(self, message: Message, target: str) -> _Ready | Refused:
        exchange, key = route(target, message.key)
        try:
            props = properties(message)
        except Unwritable as problem:
            return Refused(f"RabbitMQ cannot carry this: {problem}.")
        if len(exchange.encode()) > 255 or len(key.encode("utf-8", "surrogateescape")) > 255:
            return Refused("An exchange's name and a routing key have 255 bytes at most.")
        risky = any(name == "amqp.user_id" for name, _ in message.headers)
        return _Ready(exchange, key, props, message.payload, risky)

    def _check_size(self, wire: Wire, entry: _Ready) -> None:
        if len(entry.properties.raw) > wire.params.frame_max - _FRAME_OVERHEAD:
            entry.outcome = Refused("All headers together are too large for a frame of RabbitMQ's.")

    def _send(self, wire: Wire, entry: _Ready) -> None:
        self._tag += 1
        self._in_flight[self._tag] = entry
        try:
            wire.send(
                self._channel.basic_publish,
                entry.exchange, _encodable(entry.key), entry.body, entry.properties,
                mandatory=True,
            )  # fmt: skip
            if entry.risky:
                self._make_room(1)
            elif self._tag % _READ_EVERY == 0:
                wire.pump(0)
        except NotConnected as problem:
            self._lose(problem)

    def _make_room(self, window: int) -> None:
        """Wait until fewer than `window` are in flight. A lost connection makes room too."""
        if self._wire is None or len(self._in_flight) < window:
            return
        try:
            self._wire.wait_for(
                lambda: len(self._in_flight) < window or not self._channel.is_open,
                _CONFIRM_SECONDS,
                "confirm the message",
            )
        except NotConnected as problem:
            self._lose(problem)
            return
        if not self._channel.is_open:
            self._object()

    def _lose(self, problem: NotConnected) -> None:
        """The connection is gone: what is in flight may have arrived or not."""
        for entry in self._in_flight.values():
            entry.outcome = Unknown(str(problem))
        self._in_flight.clear()
        self._window = 1
        self.close()

    def _object(self) -> None:
        """The broker closed the channel because of one message in flight."""
        assert self._wire is not None
        reason = self._wire.closings[self._channel.channel_number]
        words = getattr(reason, "reply_text", "") or str(reason)
        alone = len(self._in_flight) == 1
        for entry in self._in_flight.values():
            entry.outcome = (
                Refused(words)
                if alone
                else Unknown(f"The broker objected to this or to a message beside it: {words}")
            )
        self._in_flight.clear()
        self._window = 1
        self._channel = None

    def _ready(self) -> Wire:
        if self._wire is not None and self._wire.failure is not None:
            self.close()
        if self._wire is None:
            self._wire = connect(self._config, "publisher")
            self._channel = None
        if self._channel is None or not self._channel.is_open:
            self._channel = self._wire.open_channel()
            self._tag = 0
            self._wire.call(self._channel.confirm_delivery, ack_nack_callback=self._on_answer)
        return self._wire

    def _on_answer(self, frame: Any) -> None:
        """The broker's word on one message or, with `multiple`, on all up to it."""
        method = frame.method
        self._note_returned()
        taken = isinstance(method, Basic.Ack)
        tags = (
            [tag for tag in self._in_flight if tag <= method.delivery_tag]
            if method.multiple
            else [method.delivery_tag]
        )
        for tag in tags:
            entry = self._in_flight.pop(tag, None)
            if entry is not None:
                entry.outcome = _outcome(entry, taken=taken)
                self._window = min(2 * self._window, _WINDOW)

    def _note_returned(self) -> None:
        """A returned message comes before its confirm, and does not tell its tag.

        Of two equal messages both have the same fate, so the older is taken. A plugin may have
        written the headers anew; the most alike is taken then.
        """
        assert self._wire is not None
        while self._wire.returned:
            found = self._wire.returned.popleft()
            waiting = [entry for entry in self._in_flight.values() if not entry.returned]
            max(waiting, key=lambda entry: entry.likeness(found)).returned = found.reason


def _outcome(entry: _Ready, *, taken: bool) -> Outcome:
    if entry.returned:
        return Refused(f"No queue takes messages for {entry.key!r} ({entry.returned}).")
    if taken:
        return Confirmed()
    queue = f"the queue {entry.key!r}"
    if entry.exchange:
        queue = f"a queue that the exchange {entry.exchange!r} routes {entry.key!r} to"
    return Refused(
        f"RabbitMQ did not take the message (nack): {queue} is full (overflow reject-publish) or"
        " failed. Consume from it, or raise its limit."
    )


def _encodable(key: str) -> str | bytes:
    """pika encodes texts strictly; a key that is not UTF-8 goes as its bytes."""
    return key if key.isascii() else key.encode("utf-8", "surrogateescape")
