"""Publishes with confirms: mandatory, persistent, one message at a time."""

from typing import Any, Final
from urllib.parse import unquote

from pika.spec import Basic

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import connect
from collectors.rabbitmq.translate import Unwritable, properties
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import NotConnected

__all__ = ["PUBLISHES_TO", "Publisher", "route"]

PUBLISHES_TO: Final = (
    "exchange, or exchange/routing.key (without a key, the message's own); /queue for a queue, by"
    " the default exchange. A slash in an exchange's name is written %2F."
)
_CONFIRM_SECONDS: Final = 10.0
_FRAME_OVERHEAD: Final = 20


def route(target: str, key: str | bytes | None) -> tuple[str, str]:
    """Exchange and routing key of a target; the message's own key where the target has none."""
    exchange, slash, routing_key = target.partition("/")
    if not slash:
        own = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
        routing_key = own or ""
    return unquote(exchange), routing_key


class Publisher:
    """See `eventhub.brokers.contract.Publisher`. Connects with the first message."""

    def __init__(self, config: RabbitMQConfig) -> None:
        self._config = config
        self._wire: Wire | None = None
        self._channel: Any = None
        self._answers: list[Any] = []

    def publish(self, message: Message, target: str) -> Outcome:
        """Raises NotConnected where nothing was sent."""
        exchange, key = route(target, message.key)
        try:
            props = properties(message)
        except Unwritable as problem:
            return Refused(f"RabbitMQ cannot carry this: {problem}.")
        if len(exchange.encode()) > 255 or len(key.encode("utf-8", "surrogateescape")) > 255:
            return Refused("An exchange's name and a routing key have 255 bytes at most.")
        wire = self._ready()
        if props.size > wire.params.frame_max - _FRAME_OVERHEAD:
            return Refused("All headers together are too large for a frame of RabbitMQ's.")
        self._answers.clear()
        wire.returned = None
        try:
            wire.send(
                self._channel.basic_publish,
                exchange, _encodable(key), message.payload, props, mandatory=True,
            )  # fmt: skip
            wire.wait_for(
                lambda: self._answers or not self._channel.is_open,
                _CONFIRM_SECONDS,
                "confirm the message",
            )
        except NotConnected as problem:
            self.close()
            return Unknown(str(problem))
        return self._outcome(wire, target)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.leave()
            self._wire = None

    def _ready(self) -> Wire:
        if self._wire is not None and self._wire.failure is not None:
            self.close()
        if self._wire is None:
            self._wire = connect(self._config, "publisher")
            self._channel = None
        if self._channel is None:
            self._channel = self._wire.open_channel()
            self._wire.call(self._channel.confirm_delivery, ack_nack_callback=self._on_answer)
        return self._wire

    def _outcome(self, wire: Wire, target: str) -> Outcome:
        if not self._answers:
            reason = wire.closings[self._channel.channel_number]
            self._channel = None
            return Refused(getattr(reason, "reply_text", "") or str(reason))
        if wire.returned is not None:
            return Refused(f"No queue takes messages for {target!r} ({wire.returned}).")
        if isinstance(self._answers[0].method, Basic.Ack):
            return Confirmed()
        return Refused("RabbitMQ did not take the message (nack): a queue is full or failed.")

    def _on_answer(self, frame: Any) -> None:
        self._answers.append(frame)


def _encodable(key: str) -> str | bytes:
    """pika encodes texts strictly; a key that is not UTF-8 goes as its bytes."""
    return key if key.isascii() else key.encode("utf-8", "surrogateescape")
