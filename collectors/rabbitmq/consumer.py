"""Receives from the tap, settles, and tells what the tap may have missed.

The firehose is a tap too: bound to the tracer's exchange, and each message read from its trace.
"""

import time
from typing import Any, Final

from collectors.rabbitmq.blindness import Blindness
from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import connect
from collectors.rabbitmq.firehose import traced
from collectors.rabbitmq.losses import Losses
from collectors.rabbitmq.refusals import firehose_off
from collectors.rabbitmq.tap import Binding, Tap, bindings, queue_name
from collectors.rabbitmq.translate import Content, delivery, is_transient
from collectors.rabbitmq.watch import Bound, Watch
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.contract import Observation, Received
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Consumer"]

_PREFETCH: Final = 4_000
_LOOK_EVERY: Final = 1.0
_BATCH_BYTES: Final = 64 * 1024 * 1024
_UNBOUND: Final = "a binding of the tap, or its exchange, was removed"
_OFF: Final = "the firehose was off, or its binding to the tap was removed"


class Consumer:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: RabbitMQConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._queue = queue_name(observation)
        self._firehose = config.mode == "firehose"
        self._translate = traced if self._firehose else delivery
        self._wire: Wire | None = None
        self._watch: Watch | None = None

    def open(self) -> None:
        if not bindings(self._config):
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
        if self._blindness.told:
            self._raise_if_blind()
        deadline = time.monotonic() + max_wait
        while len(wire.contents) < max_messages and not self._losses.gaps and self._blindness.told:
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
        self._wire = connect(self._config, f"{self._config.mode} of {self._observation.name}")
        self._tap = Tap(self._wire, self._config, self._queue)
        # A binding that is refused costs its channel, and with it what that channel consumes.
        self._binder = Tap(self._wire, self._config, self._queue)
        declared = self._tap.declare()
        self._waiting = declared.waiting or 0
        self._bound: dict[Binding, float] = {}
        for exchange, key in bindings(self._config):
            self._bind(exchange, key)
        self._watch = Watch(self._config, self._queue)
        self._watch.start()
        self._bind_direct_keys()
        self._losses = Losses(self._config, self._observation, declared, self._watch.sample)
        self._blindness = Blindness(self._observation, _OFF if self._firehose else _UNBOUND)
        self._look_for_blindness()
        if self._observation.last_seen is None or self._blindness.told:
            self._raise_if_blind()
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
            deliveries=list(map(self._translate, contents)),
            gaps=self._losses.take() + self._blindness.take(),
            checkpoint=self._losses.checkpoint() | self._blindness.checkpoint(),
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
        self._waiting = waiting
        # What had left the queue by then has arrived when this round trip ends: the channel
        # sends deliveries and answers in the order in which it got them.
        self._round_trip(wire)
        in_hand = sum(not content.redelivered for content in wire.contents)
        self._losses.look(sample, waiting, self._received_first + in_hand)
        self._look_for_blindness()
        self._look_due = time.monotonic() + _LOOK_EVERY

    def _look_for_blindness(self) -> None:
        """Whether the tap still gets what it is there for; a lost binding is made again."""
        assert self._watch is not None
        bound, state = self._watch.bound, self._watch.traced
        asked = min([time.monotonic(), *(each.at for each in (bound, state) if each is not None)])
        at = int((time.time() - time.monotonic() + asked) * 1000)
        for exchange, key in self._lost(bound):
            try:
                self._binder.bind(exchange, key)
            except PermanentFailure as problem:
                self._blindness.look(at, problem)
                return
            self._bound[exchange, key] = time.monotonic()
            self._blindness.look(at, NotConnected(_UNBOUND))
        off = state is not None and state.on is False
        self._blindness.look(at, firehose_off(self._config) if off else None)

    def _lost(self, seen: Bound | None) -> list[Binding]:
        """Bindings that we made and that the API did not see afterwards."""
        return [
            binding
            for binding, made in self._bound.items()
            if seen is not None and made < seen.at and binding not in seen.bindings
        ]

    def _raise_if_blind(self) -> None:
        """A person must act, once all that waited is received."""
        problem = self._blindness.problem
        received_all = not self._waiting and not self._wire_or_raise().contents
        if problem is not None and received_all:
            raise problem

    def _round_trip(self, wire: Wire) -> None:
        wire.call(self._tap.channel.basic_qos, prefetch_count=_PREFETCH)

    def _bind_direct_keys(self) -> None:
        assert self._watch is not None
        for exchange, keys in self._watch.keys.items():
            for key in keys:
                self._bind(exchange, key)

    def _bind(self, exchange: str, key: str) -> None:
        if (exchange, key) not in self._bound:
            self._binder.bind(exchange, key)
            self._bound[exchange, key] = time.monotonic()

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
