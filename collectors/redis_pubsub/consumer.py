"""Observing by a subscription of our own, and saying honestly what it may have missed.

Redis Pub/Sub is at most once: what is published while we are not subscribed, or once the server
has dropped us because its output buffer for us was full, never comes. So every end of a
connection is a gap, from the last sign of life to the next subscription. The moment of loss goes
into the source's checkpoint, so that it outlives this process; a source that ended without
noticing a loss (it was stopped, or killed) has the gap from when it was last seen.
"""

import time
from typing import Final

import hiredis
import msgspec

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import Connection, now, wait_for_any
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.sentinel import MasterWatch
from collectors.redis_pubsub.subscription import PING_AFTER, Subscription, subscribe
from eventhub.brokers.contract import Delivery, Gap, Observation, Received
from eventhub.brokers.errors import NotConnected

__all__ = ["RedisConsumer"]

_LOSS: Final = "loss"


class Loss(msgspec.Struct, frozen=True):
    """How the last connection ended; kept in the checkpoint until its gap is stored."""

    at: int
    """Last sign of life, in milliseconds."""
    why: str
    overflows: int | None
    """Subscribers that the server had dropped for a full output buffer, when we connected."""


class RedisConsumer:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: RedisPubSubConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._nodes = Nodes(config, name=f"eventhub-{observation.name}")
        self._watch: MasterWatch | None = None
        self._subscriptions: list[Subscription] = []
        self._overflows: int | None = None
        self._gap: Gap | None = None
        self._told = ""

    def open(self) -> None:
        try:
            if self._config.deployment == "single":
                self._overflows = overflows(self._nodes.any())
            self._subscriptions = subscribe(self._nodes, self._config)
        except BaseException:
            self.close()
            raise
        if self._config.deployment == "sentinel":
            assert self._nodes.entrance is not None
            self._watch = MasterWatch(self._config, self._nodes.entrance)
        self._told = ""
        self._gap = self._missed()

    def receive(self, max_messages: int, max_wait: float) -> Received:
        if self._told or not self._subscriptions:
            raise NotConnected(self._told or "The source is not subscribed.")
        if self._gap is not None:
            gap, self._gap = self._gap, None
            return Received([], [gap], {_LOSS: ""})
        deadline = time.monotonic() + max_wait
        while True:
            deliveries: list[Delivery] = []
            for subscription in self._subscriptions:
                deliveries += subscription.take(max_messages - len(deliveries))
            if deliveries:
                return Received(deliveries)
            if lost := self._lost():
                return self._tell_loss(lost)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return Received([])
            connections = [each.connection for each in self._subscriptions]
            wait_for_any(connections, min(remaining, PING_AFTER))

    def settle(self, received: Received) -> None:
        """There is nothing to tell: the server forgot the message when it sent it."""

    def keep_alive(self) -> None:
        """Read ahead into our own memory, so that the server's output buffer does not fill."""
        for subscription in self._subscriptions:
            subscription.connection.drain()
        self._lost()

    def close(self) -> None:
        self._subscriptions = []
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        self._nodes.close()

    def _lost(self) -> Connection | None:
        moved = self._watch.moved if self._watch else ""
        for subscription in self._subscriptions:
            subscription.heartbeat()
            if moved:
                subscription.connection.give_up(moved)
            if subscription.connection.lost:
                return subscription.connection
        return None

    def _tell_loss(self, lost: Connection) -> Received:
        """The moment of the loss, to be stored; the next `receive` raises."""
        self._told = lost.lost
        loss = Loss(lost.heard, lost.lost, self._overflows)
        return Received([], checkpoint={_LOSS: msgspec.json.encode(loss).decode()})

    def _missed(self) -> Gap | None:
        """What may have been missed before the subscription that was just made."""
        stored = self._observation.checkpoint.get(_LOSS)
        if stored:
            loss = msgspec.json.decode(stored, type=Loss)
            return Gap(self._reason(loss), min(loss.at, now()), now())
        seen = self._observation.last_seen
        if seen is None:
            return None
        reason = "The source was not subscribed, and Redis Pub/Sub keeps nothing meanwhile."
        return Gap(reason, min(seen, now()), now())

    def _reason(self, loss: Loss) -> str:
        known = self._overflows is not None and loss.overflows is not None
        if known and self._overflows > loss.overflows:  # type: ignore[operator]
            return (
                "The server dropped us because its output buffer for us was full"
                " (client-output-buffer-limit pubsub): events came faster than they were stored."
            )
        return loss.why


def overflows(connection: Connection) -> int | None:
    """How many clients the server has dropped for a full output buffer since it started. Not
    asked behind Sentinels and in a cluster: the next time, another server may answer.

    None where it does not tell (before Redis 7, or the user may not ask).
    """
    try:
        info: bytes = connection.call("INFO", "stats")
    except hiredis.ReplyError:
        return None
    for line in info.splitlines():
        name, _, value = line.partition(b":")
        if name == b"client_output_buffer_limit_disconnections":
            return int(value)
    return None
