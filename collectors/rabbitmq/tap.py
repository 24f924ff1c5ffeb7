"""The tap: a queue of EventHub's own, bound to the chosen exchanges, or to the firehose's.

It is bounded and drops its oldest messages (`drop-head`), so that no publisher ever waits for it,
and it expires, so that none is left behind for good.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
from pika.exceptions import ChannelClosedByBroker

from collectors.rabbitmq.config import TRACER, RabbitMQConfig
from collectors.rabbitmq.refusals import permission_command, who
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.contract import Observation
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Binding", "Declared", "Tap", "arguments", "bindings", "queue_name"]

_ACCESS_REFUSED: Final = 403
_NOT_FOUND: Final = 404
_PRECONDITION_FAILED: Final = 406
# A name that no exchange has: a dead-letter policy for all queues must not send what a tap drops
# to somebody's dead letters. The queue's own argument goes before a policy's.
_NOWHERE: Final = "eventhub.tap.nowhere"


Binding = tuple[str, str]
"""Exchange and key."""


class Declared(msgspec.Struct, frozen=True):
    """What was found when the tap was declared."""

    waiting: int | None
    """Messages that waited in it; None where there was no tap."""
    given_up: bool = False
    """Whether they went with the old tap, whose limits or bindings were others."""


def queue_name(observation: Observation) -> str:
    return f"eventhub.tap.{observation.installation}.{observation.name}"


def bindings(config: RabbitMQConfig) -> list[Binding]:
    """Those that the configuration asks for; direct exchanges' keys are found later."""
    if config.mode == "firehose":
        # The tracer's keys are "publish." and the exchange, whose name is empty for the default.
        return [(TRACER, f"publish.{name}") for name in config.exchanges or ["#"]]
    keys = config.routing_keys or ["#"]
    return [(exchange, key) for exchange in config.exchanges for key in keys]


def arguments(config: RabbitMQConfig) -> dict[str, Any]:
    """Queue arguments, documented at https://www.rabbitmq.com/docs/maxlength and /ttl."""
    chosen = "\0".join(sorted(f"{exchange}\0{key}" for exchange, key in bindings(config)))
    return {
        "x-queue-type": "classic",
        "x-expires": config.tap_expires_minutes * 60_000,
        "x-max-length": config.tap_max_messages,
        "x-max-length-bytes": config.tap_max_mib * 1024 * 1024,
        "x-overflow": "drop-head",
        "x-dead-letter-exchange": _NOWHERE,
        # Never used as a key: it makes the broker tell us that the tap was bound otherwise.
        "x-dead-letter-routing-key": hashlib.sha256(chosen.encode()).hexdigest()[:16],
    }


class Tap:
    """Declares and binds on a connection. Its channel is opened anew where the broker closed it."""

    def __init__(self, wire: Wire, config: RabbitMQConfig, name: str) -> None:
        self.channel = wire.open_channel()
        self.name = name
        self._wire = wire
        self._config = config

    def declare(self) -> Declared:
        """Make sure that the tap is there as configured. Raises PermanentFailure."""
        waiting = self.depth()
        try:
            self._declare()
        except ChannelClosedByBroker as refusal:
            self._reopen()
            if refusal.reply_code != _PRECONDITION_FAILED:
                raise self._refused(refusal, f"declare the queue {self.name!r}") from refusal
            self.delete()
            self._declare()
            return Declared(waiting, given_up=True)
        return Declared(waiting)

    def depth(self) -> int | None:
        """Messages that wait in the tap, from the queue itself; None where there is no tap."""
        try:
            answer = self._wire.call(self.channel.queue_declare, queue=self.name, passive=True)
        except ChannelClosedByBroker as refusal:
            self._reopen()
            if refusal.reply_code == _NOT_FOUND:
                return None
            raise self._refused(refusal, f"look at the queue {self.name!r}") from refusal
        waiting: int = answer.message_count
        return waiting

    def bind(self, exchange: str, key: str) -> None:
        """Have the exchange copy to the tap what it routes by `key`.

        The same binding serves every type of exchange, whose type only the management API tells:
        `#` is all of a topic and a key that nobody uses on a direct exchange, a fanout exchange
        ignores it, and to a headers exchange "all of no headers" is every message.
        """
        try:
            self._wire.call(
                self.channel.queue_bind,
                queue=self.name,
                exchange=exchange,
                routing_key=key,
                arguments={"x-match": "all"},
            )
        except ChannelClosedByBroker as refusal:
            self._reopen()
            if refusal.reply_code == _NOT_FOUND:
                raise PermanentFailure(
                    f"There is no exchange {exchange!r} in the virtual host"
                    f" {self._config.virtual_host!r}.",
                    way_out="Choose among the exchanges that are there, or declare it first.",
                ) from refusal
            raise self._refused(refusal, f"bind to the exchange {exchange!r}") from refusal

    def consume(self, on_message: Callable[..., None]) -> None:
        """Become the tap's only consumer. Raises NotConnected while another one is.

        Recognising redeliveries rests on it: what a dead connection held comes back before
        anything else (`eventhub.ingestion.redelivery`).
        """
        try:
            self._wire.call(
                self.channel.basic_consume,
                queue=self.name,
                on_message_callback=on_message,
                exclusive=True,
            )
        except ChannelClosedByBroker as refusal:
            self._reopen()
            if refusal.reply_code == _ACCESS_REFUSED and "exclusive" in refusal.reply_text:
                raise NotConnected(
                    "Another connection still reads the tap. RabbitMQ lets go of a dead one"
                    " after two missed heartbeats, 20 s at most."
                ) from refusal
            raise self._refused(refusal, f"read the queue {self.name!r}") from refusal

    def delete(self) -> None:
        """Remove the tap, if it is there."""
        try:
            self._wire.call(self.channel.queue_delete, queue=self.name)
        except ChannelClosedByBroker as refusal:
            self._reopen()
            raise self._refused(refusal, f"remove the queue {self.name!r}") from refusal

    def _declare(self) -> None:
        self._wire.call(
            self.channel.queue_declare,
            queue=self.name,
            durable=True,
            arguments=arguments(self._config),
        )

    def _reopen(self) -> None:
        self.channel = self._wire.open_channel()

    def _refused(self, refusal: ChannelClosedByBroker, what: str) -> PermanentFailure:
        if refusal.reply_code == _ACCESS_REFUSED:
            return PermanentFailure(
                f"The user {who(self._config)!r} may not {what}.",
                way_out=permission_command(self._config),
            )
        return PermanentFailure(f"RabbitMQ refused to {what}: {refusal.reply_text}")
