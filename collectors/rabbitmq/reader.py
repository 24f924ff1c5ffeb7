"""The modes `log` and `consume`: reads stream queues by offset, or takes messages from queues.

Streams: https://www.rabbitmq.com/docs/streams#consuming. An offset is a message's place in its
stream; acknowledging gives the broker credit to send more and moves nothing that anybody sees.
"""

import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from pika.exceptions import ChannelClosedByBroker

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import connect
from collectors.rabbitmq.refusals import not_readable
from collectors.rabbitmq.translate import EXCHANGE_HEADER, Content, delivery
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.contract import Delivery, Gap, Observation, Received, StartFrom
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Reader"]

_STREAM_PREFETCH: Final = 4_000
_QUEUE_PREFETCH: Final = 500
"""Fewer: what lies here is kept from the other consumers of the queue."""
_BATCH_BYTES: Final = 64 * 1024 * 1024
_OFFSET: Final = "x-stream-offset"


class Reader:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: RabbitMQConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._log = config.mode == "log"
        self._next = {
            name: int(offset) for name, offset in observation.checkpoint.items() if self._log
        }
        """The offset that comes next, of the streams whose place is known."""
        self._begun: set[str] = set()
        """Streams of which something has come on this connection."""
        self._names: dict[bytes, str] = {}
        self._gaps: list[Gap] = []
        self._wire: Wire | None = None
        self._channel: Any = None
        self._ended = ""

    def open(self) -> None:
        names = self._config.streams if self._log else self._config.queues
        if not names:
            what = "stream" if self._log else "queue"
            raise PermanentFailure(f"No {what} is chosen.", way_out=f"Choose at least one {what}.")
        self._wire = connect(self._config, f"{self._config.mode} of {self._observation.name}")
        try:
            self._channel = self._wire.open_channel()
            self._channel.add_on_cancel_callback(self._on_cancel)
            self._round_trip(self._wire)
            for name in names:
                self._consume(self._wire, name)
        except BaseException:
            self.close()
            raise

    def receive(self, max_messages: int, max_wait: float) -> Received:
        wire = self._live()
        deadline = time.monotonic() + max_wait
        while len(wire.contents) < max_messages:
            had = len(wire.contents)
            wire.pump(0 if had else max(0.0, deadline - time.monotonic()))
            self._check()
            if len(wire.contents) == had and (had or time.monotonic() >= deadline):
                break
        return self._take(wire, max_messages)

    def settle(self, received: Received) -> None:
        wire = self._live()
        if received.token is not None:
            wire.send(self._channel.basic_ack, received.token, multiple=True)
            self._round_trip(wire)

    def keep_alive(self) -> None:
        self._live().pump(0)
        self._check()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.leave()
            self._wire = None

    def _consume(self, wire: Wire, name: str) -> None:
        arguments = {_OFFSET: self._start(name)} if self._log else None
        try:
            answer = wire.call(
                self._channel.basic_consume,
                queue=name,
                on_message_callback=_unused,
                arguments=arguments,
            )
        except ChannelClosedByBroker as refusal:
            raise not_readable(self._config, name, refusal) from refusal
        self._names[answer.consumer_tag.encode()] = name

    def _start(self, name: str) -> int | str | datetime:
        if name in self._next:
            return self._next[name]
        if self._observation.checkpoint:
            return "first"  # a stream that was chosen later is read from its beginning
        if self._observation.last_seen is not None:
            # Nothing has come yet since it was begun with. A time is found by chunks, so that
            # what was published just before may come too.
            return datetime.fromtimestamp(self._observation.last_seen / 1000, UTC)
        if self._observation.start is StartFrom.TIME:
            return datetime.fromtimestamp((self._observation.start_time or 0) / 1000, UTC)
        return "first" if self._observation.start is StartFrom.EARLIEST else "next"

    def _take(self, wire: Wire, max_messages: int) -> Received:
        deliveries: list[Delivery] = []
        size = tag = 0
        while wire.contents and len(deliveries) < max_messages and size < _BATCH_BYTES:
            content = wire.contents.popleft()
            tag = content.tag
            size += len(content.body)
            made = self._delivery(content)
            if made is not None:
                deliveries.append(made)
        if tag and not deliveries:
            # All of it was read before: nobody will settle it, and the broker waits for that.
            wire.send(self._channel.basic_ack, tag, multiple=True)
        gaps, self._gaps = self._gaps, []
        checkpoint = {name: str(offset) for name, offset in self._next.items()}
        return Received(deliveries, gaps, checkpoint, token=tag or None)

    def _delivery(self, content: Content) -> Delivery | None:
        name = self._names.get(content.consumer, "")
        received = delivery(content)
        headers = [(key, value) for key, value in received.headers if key != _OFFSET]
        if received.destination:
            headers.append((EXCHANGE_HEADER, received.destination))
        if not self._log:
            return msgspec.structs.replace(received, destination=name, headers=headers)
        offset = dict(received.headers).get(_OFFSET)
        assert isinstance(offset, int), "a stream's messages have an offset"
        if not self._is_new(name, offset):
            return None
        return msgspec.structs.replace(
            received,
            destination=name,
            headers=headers,
            position=str(offset),
            redelivered=False,
        )

    def _is_new(self, name: str, offset: int) -> bool:
        """A stream is sent by chunks, which begin before the offset that was asked for."""
        expected = self._next.get(name)
        if expected is not None and offset < expected:
            return False
        if expected is not None and offset > expected and name not in self._begun:
            seen = self._observation.last_seen
            now = time.time_ns() // 1_000_000
            self._gaps.append(
                Gap(
                    "the stream was truncated before it was read",
                    seen or now,
                    now,
                    offset - expected,
                    name,
                )
            )
        self._begun.add(name)
        self._next[name] = offset + 1
        return True

    def _round_trip(self, wire: Wire) -> None:
        prefetch = _STREAM_PREFETCH if self._log else _QUEUE_PREFETCH
        wire.call(self._channel.basic_qos, prefetch_count=prefetch)

    def _on_cancel(self, frame: Any) -> None:
        name = self._names.get(frame.method.consumer_tag.encode(), "a queue")
        self._ended = f"RabbitMQ ended the reading of {name!r}: the queue was removed or moved."

    def _check(self) -> None:
        if self._ended:
            raise NotConnected(self._ended)
        if not self._channel.is_open:
            raise NotConnected("RabbitMQ closed the channel.")

    def _live(self) -> Wire:
        if self._wire is None:
            raise NotConnected("The consumer is closed.")
        self._wire.check()
        return self._wire


def _unused(*_: Any) -> None:
    raise AssertionError("the wire takes messages before pika does")
