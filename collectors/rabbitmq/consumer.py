"""Receives from the tap, settles, and tells what the tap may have missed."""

import time
from typing import Any, Final

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import connect
from collectors.rabbitmq.losses import Losses
from collectors.rabbitmq.tap import Tap, queue_name
from collectors.rabbitmq.translate import Content, delivery, is_transient
from collectors.rabbitmq.watch import Watch
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.contract import Observation, Received
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Consumer"]

_PREFETCH: Final = 4_000
_LOOK_EVERY: Final = 1.0
_BATCH_BYTES: Final = 64 * 1024 * 1024


class Consumer:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: RabbitMQConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._queue = queue_name(observation)
        self._wire: Wire | None = None
        self._watch: Watch | None = None

    def open(self) -> None:
        if not self._config.exchanges:
            raise PermanentFailure(
                "No exchange is chosen.", way_out="Choose at least one exchange to observe."
            )
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def receive(self, max_messages: int, max_wait: float) -> Received:
        wire = self._wire_or_raise()
        deadline = time.monotonic() + max_wait
        while len(wire.contents) < max_messages and not self._losses.gaps:
            now = time.monotonic()
            if now >= self._look_due:
                self._look()
                continue
            had = len(wire.contents)
            # With messages in hand, take what is there already and do not wait for more.
            wire.pump(0 if had else min(deadline, self._look_due) - now)
            self._check_tap()
            if len(wire.contents) == had and (had or time.monotonic() >= deadline):
                break
        return self._take(wire, max_messages)

    def settle(self, received: Received) -> None:
        wire = self._wire_or_raise()
        if received.token is not None:
            wire.send(self._tap.channel.basic_ack, received.token, multiple=True)
            self._round_trip(wire)

    def keep_alive(self) -> None:
        self._wire_or_raise().pump(0)
        self._check_tap()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._wire is not None:
            self._wire.leave()
            self._wire = None

    def _open(self) -> None:
        self._wire = connect(self._config, f"tap of {self._observation.name}")
        self._tap = Tap(self._wire, self._config, self._queue)
        declared = self._tap.declare()
        self._bound: set[tuple[str, str]] = set()
        for exchange in self._config.exchanges:
            for key in self._config.routing_keys or ["#"]:
                self._bind(exchange, key)
        self._watch = Watch(self._config, self._queue)
        self._watch.start()
        self._bind_direct_keys()
        self._losses = Losses(self._config, self._observation, declared, self._watch.sample)
        self._received_first = 0
        self._removed = False
        self._consume()
        self._look_due = time.monotonic() + _LOOK_EVERY

    def _consume(self) -> None:
        wire = self._wire_or_raise()
        self._round_trip(wire)
        self._tap.channel.add_on_cancel_callback(self._on_cancel)
        # The callback is never called: the wire takes the messages before pika sees them.
        self._tap.consume(_unused)

    def _take(self, wire: Wire, max_messages: int) -> Received:
        contents: list[Content] = []
        size = 0
        while wire.contents and len(contents) < max_messages and size < _BATCH_BYTES:
            content = wire.contents.popleft()
            contents.append(content)
            size += len(content.body)
        self._received_first += sum(not content.redelivered for content in contents)
        self._losses.received(len(contents), size)
        if not self._losses.transient:
            self._losses.transient = any(map(is_transient, contents))
        return Received(
            deliveries=[delivery(content) for content in contents],
            gaps=self._losses.take(),
            checkpoint=self._losses.checkpoint(),
            token=contents[-1].tag if contents else None,
        )

    def _look(self) -> None:
        """Ask the queue how many wait, and compare with what was published into it."""
        wire = self._wire_or_raise()
        assert self._watch is not None
        self._bind_direct_keys()
        sample = self._watch.sample
        waiting = self._tap.depth()
        if waiting is None:
            self._removed = True
        self._check_tap()
        assert waiting is not None
        # What had left the queue by then has arrived when this round trip ends: the channel
        # sends deliveries and answers in the order in which it got them.
        self._round_trip(wire)
        in_hand = sum(not content.redelivered for content in wire.contents)
        self._losses.look(sample, waiting, self._received_first + in_hand)
        self._look_due = time.monotonic() + _LOOK_EVERY

    def _round_trip(self, wire: Wire) -> None:
        wire.call(self._tap.channel.basic_qos, prefetch_count=_PREFETCH)

    def _bind_direct_keys(self) -> None:
        assert self._watch is not None
        for exchange, keys in self._watch.keys.items():
            for key in keys:
                self._bind(exchange, key)

    def _bind(self, exchange: str, key: str) -> None:
        if (exchange, key) not in self._bound:
            self._tap.bind(exchange, key)
            self._bound.add((exchange, key))

    def _on_cancel(self, _: object) -> None:
        self._removed = True

    def _check_tap(self) -> None:
        if self._removed:
            raise NotConnected("Somebody removed the tap queue.")
        if not self._tap.channel.is_open:
            raise NotConnected("RabbitMQ closed the channel.")

    def _wire_or_raise(self) -> Wire:
        if self._wire is None:
            raise NotConnected("The consumer is closed.")
        self._wire.check()
        return self._wire


def _unused(*_: Any) -> None:
    raise AssertionError("the wire takes messages before pika does")
