"""Observing by a subscription of our own, and saying honestly what it may have missed.

Redis Pub/Sub is at most once: what is published while we are not subscribed, or once the server
has dropped us because its output buffer for us was full, never comes. So every end of a
connection is a gap, from the last sign of life to the next subscription. The moment of loss goes
into the source's checkpoint, so that it outlives this process; a source that ended without
noticing a loss (it was stopped, or killed) has the gap from when it was last seen.
"""

import time
from contextlib import suppress
from typing import Any, Final

import hiredis
import msgspec

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connect import connect
from collectors.redis_pubsub.connection import NOTHING, Connection, now
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, channel_text, to_delivery
from eventhub.brokers.contract import Delivery, Gap, Observation, Received
from eventhub.brokers.errors import NotConnected
from eventhub.live.frames import CHANNEL

__all__ = ["RedisConsumer", "overflows", "subscribe"]

PING_AFTER: Final = 5.0
"""Seconds of silence after which the server is asked whether it still hears us."""
PONG_WITHIN: Final = 10.0
"""Seconds it has to answer. A connection that is dead on one side only ends here."""
SUBSCRIBE_SECONDS: Final = 10.0
_LOSS: Final = "loss"
_MESSAGES: Final = frozenset((b"pmessage", b"smessage"))
_OWN: Final = CHANNEL.encode()
"""Where collectors announce what they stored. Observing that would feed on itself for ever."""


class Loss(msgspec.Struct, frozen=True):
    """How the last connection ended; kept in the checkpoint until its gap is stored."""

    at: int
    """Last sign of life, in milliseconds."""
    why: str
    overflows: int | None
    """Subscribers that the server had dropped for a full output buffer, when we connected."""


class RedisConsumer:
    def __init__(self, config: RedisPubSubConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._connection: Connection | None = None
        self._early: list[Any] = []
        """Replies that came before all subscriptions were confirmed, last one first."""
        self._overflows: int | None = None
        self._gap: Gap | None = None
        self._loss_told = False
        self._pinged_at: float | None = None
        self._copies = _Copies()

    def open(self) -> None:
        connection = connect(self._config, name=f"eventhub-{self._observation.name}")
        try:
            self._overflows = overflows(connection)
            self._early = subscribe(connection, self._config)
        except BaseException:
            connection.close()
            raise
        self._early.reverse()
        self._connection = connection
        self._loss_told = False
        self._pinged_at = None
        self._copies = _Copies()
        self._gap = self._missed()

    def receive(self, max_messages: int, max_wait: float) -> Received:
        if self._gap is not None:
            gap, self._gap = self._gap, None
            return Received([], [gap], {_LOSS: ""})
        connection = self._live()
        deadline = time.monotonic() + max_wait
        while True:
            connection.drain()
            deliveries = self._take(connection, max_messages)
            if deliveries:
                return Received(deliveries)
            self._heartbeat(connection)
            if connection.lost:
                return self._tell_loss(connection)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return Received([])
            connection.wait(min(remaining, PING_AFTER))

    def settle(self, received: Received) -> None:
        """There is nothing to tell: the server forgot the message when it sent it."""

    def keep_alive(self) -> None:
        """Read ahead into our own memory, so that the server's output buffer does not fill."""
        if self._connection is not None:
            self._connection.drain()
            self._heartbeat(self._connection)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _live(self) -> Connection:
        if self._connection is None:
            raise NotConnected("The source is not subscribed.")
        if self._loss_told:
            raise NotConnected(self._connection.lost)
        return self._connection

    def _take(self, connection: Connection, max_messages: int) -> list[Delivery]:
        """What has arrived, without waiting."""
        deliveries: list[Delivery] = []
        single = len(self._config.patterns) <= 1
        is_copy = self._copies.is_copy
        while len(deliveries) < max_messages:
            reply = self._early.pop() if self._early else connection.take()
            if reply is NOTHING:
                break
            if type(reply) is not list or reply[0] not in _MESSAGES:
                self._hear(connection, reply)
            elif len(reply) == 3:
                deliveries.append(to_delivery(reply[1], reply[2]))
            elif reply[2] != _OWN and (single or not is_copy(reply[1], reply[2], reply[3])):
                deliveries.append(to_delivery(reply[2], reply[3]))
        return deliveries

    def _hear(self, connection: Connection, reply: Any) -> None:
        """Replies that are no messages: pongs, errors, and subscriptions taken from us."""
        if isinstance(reply, hiredis.ReplyError):
            connection.give_up(f"The server ended the subscription: {reply}.")
        elif type(reply) is list and reply[0] in (b"sunsubscribe", b"punsubscribe"):
            # A cluster does this when a sharded channel's slot moves to another node.
            connection.give_up(
                f"The server took the subscription of {channel_text(reply[1] or b'')} away."
            )

    def _heartbeat(self, connection: Connection) -> None:
        """Ask a silent server for a sign of life; without one, count the connection as lost."""
        moment = time.monotonic()
        if connection.lost or moment - connection.silent_since < PING_AFTER:
            self._pinged_at = None
        elif self._pinged_at is None:
            self._pinged_at = moment
            with suppress(NotConnected):  # `lost` says it
                connection.send("PING")
        elif moment - self._pinged_at > PONG_WITHIN:
            connection.give_up(f"The server has not answered a PING for {PONG_WITHIN:g} seconds.")

    def _tell_loss(self, connection: Connection) -> Received:
        """The moment of the loss, to be stored; the next `receive` raises."""
        self._loss_told = True
        loss = Loss(connection.heard, connection.lost, self._overflows)
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


def subscribe(connection: Connection, config: RedisPubSubConfig) -> list[Any]:
    """Subscribe to all that is configured, and return what came before all was confirmed.

    Raises NotConnected or PermanentFailure.
    """
    deadline = time.monotonic() + SUBSCRIBE_SECONDS
    # One command a sharded channel: in a cluster, the channels of one must share a slot. All
    # patterns in one: a message published in between would come by some of them only.
    for name in config.sharded_channels:
        connection.send("SSUBSCRIBE", channel_bytes(name))
    if config.patterns:
        connection.send("PSUBSCRIBE", *map(channel_bytes, config.patterns))
    waiting = len(config.sharded_channels) + len(config.patterns)
    early: list[Any] = []
    while waiting:
        reply = connection.reply(deadline)
        if isinstance(reply, hiredis.ReplyError):
            raise refusal(reply, config)
        if reply[0] in (b"psubscribe", b"ssubscribe"):
            waiting -= 1
        else:
            early.append(reply)
    return early


def overflows(connection: Connection) -> int | None:
    """How many clients the server has dropped for a full output buffer since it started.

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
