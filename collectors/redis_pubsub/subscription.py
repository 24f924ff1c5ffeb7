"""Subscriptions on one connection: what it brings, and whether it still lives."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import NOTHING, Connection
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, channel_text, to_delivery
from eventhub.brokers.contract import Delivery
from eventhub.brokers.errors import NotConnected
from eventhub.live.frames import CHANNEL

__all__ = ["Subscription", "subscribe"]

PING_AFTER: Final = 5.0
"""Seconds of silence after which the server is asked whether it still hears us."""
PONG_WITHIN: Final = 10.0
"""Seconds it has to answer. A connection that is dead on one side only ends here."""
SUBSCRIBE_SECONDS: Final = 10.0
_MESSAGES: Final = frozenset((b"pmessage", b"smessage"))
_OWN: Final = CHANNEL.encode()
"""Where collectors announce what they stored. Observing that would feed on itself for ever."""


def subscribe(nodes: Nodes, config: RedisPubSubConfig) -> "list[Subscription]":
    """Subscribe to all that is configured: the patterns on one server, which in a cluster gets
    what is published on any, and each sharded channel where its slot is.

    Raises NotConnected or PermanentFailure.
    """
    sharded: dict[Connection, list[bytes]] = {}
    if config.patterns:
        sharded[nodes.any()] = []
    for name in map(channel_bytes, config.sharded_channels):
        sharded.setdefault(nodes.of(name), []).append(name)
    patterns = list(map(channel_bytes, config.patterns))
    made = []
    for number, (connection, channels) in enumerate(sharded.items()):
        made.append(Subscription(connection, channels, [] if number else patterns))
        made[-1].begin(config)
    return made


class Subscription:
    def __init__(
        self, connection: Connection, sharded: Sequence[bytes], patterns: Sequence[bytes]
    ) -> None:
        self.connection = connection
        self._sharded = sharded
        self._patterns = patterns
        self._early: list[Any] = []
        """Replies that came before all subscriptions were confirmed, last one first."""
        self._pinged_at: float | None = None
        self._copies = _Copies()

    def begin(self, config: RedisPubSubConfig) -> None:
        """Returns once all is confirmed. Raises NotConnected or PermanentFailure."""
        deadline = time.monotonic() + SUBSCRIBE_SECONDS
        # One command a sharded channel: in a cluster, the channels of one must share a slot. All
        # patterns in one: a message published in between would come by some of them only.
        for name in self._sharded:
            self.connection.send("SSUBSCRIBE", name)
        if self._patterns:
            self.connection.send("PSUBSCRIBE", *self._patterns)
        waiting = len(self._sharded) + len(self._patterns)
        while waiting:
            reply = self.connection.reply(deadline)
            if isinstance(reply, hiredis.ReplyError):
                raise refusal(reply, config)
            if reply[0] in (b"psubscribe", b"ssubscribe"):
                waiting -= 1
            else:
                self._early.append(reply)
        self._early.reverse()

    def take(self, max_messages: int) -> list[Delivery]:
        """What has arrived, without waiting."""
        connection = self.connection
        connection.drain()
        deliveries: list[Delivery] = []
        single = len(self._patterns) <= 1
        is_copy = self._copies.is_copy
        while len(deliveries) < max_messages:
            reply = self._early.pop() if self._early else connection.take()
            if reply is NOTHING:
                break
            if type(reply) is not list or reply[0] not in _MESSAGES:
                self._hear(reply)
            elif len(reply) == 3:
                deliveries.append(to_delivery(reply[1], reply[2]))
            elif reply[2] != _OWN and (single or not is_copy(reply[1], reply[2], reply[3])):
                deliveries.append(to_delivery(reply[2], reply[3]))
        return deliveries

    def heartbeat(self) -> None:
        """Ask a silent server for a sign of life; without one, count the connection as lost."""
        connection = self.connection
        moment = time.monotonic()
        if connection.lost or moment - connection.silent_since < PING_AFTER:
            self._pinged_at = None
        elif self._pinged_at is None:
            self._pinged_at = moment
            with suppress(NotConnected):  # `lost` says it
                connection.send("PING")
        elif moment - self._pinged_at > PONG_WITHIN:
            connection.give_up(f"The server has not answered a PING for {PONG_WITHIN:g} seconds.")

    def _hear(self, reply: Any) -> None:
        """Replies that are no messages: pongs, errors, and subscriptions taken from us."""
        if isinstance(reply, hiredis.ReplyError):
            self.connection.give_up(f"The server ended the subscription: {reply}.")
        elif type(reply) is list and reply[0] in (b"sunsubscribe", b"punsubscribe"):
            # A cluster does this when a sharded channel's slot moves to another node.
            self.connection.give_up(
                f"The server took the subscription of {channel_text(reply[1] or b'')} away."
            )


class _Copies:
    """Tells the copies of a message that several of our patterns match from further messages.

    The server sends them one after the other, one for each matching pattern
    (pubsubPublishMessage in pubsub.c). So a pattern that repeats begins the next message. This
    needs no opinion of our own on what a pattern matches, and two honest messages with the same
    bytes stay two.
    """

    def __init__(self) -> None:
        self._channel = b""
        self._payload = b""
        self._patterns: list[bytes] = []

    def is_copy(self, pattern: bytes, channel: bytes, payload: bytes) -> bool:
        if (
            self._patterns
            and pattern not in self._patterns
            and channel == self._channel
            and payload == self._payload
        ):
            self._patterns.append(pattern)
            return True
        self._channel, self._payload, self._patterns = channel, payload, [pattern]
        return False
