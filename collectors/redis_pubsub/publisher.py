"""Publishing to a channel, stream or list, and what the server says of it."""

import time
from collections.abc import Sequence
from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import CALL_SECONDS, Connection
from collectors.redis_pubsub.lists import push
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import PAYLOAD, channel_bytes
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import NotConnected
from eventhub.events.headers import header_text

__all__ = ["RedisPublisher"]

_IN_FLIGHT: Final = 500
"""Commands sent before their replies are read: 500 replies fit any socket's buffer."""


class RedisPublisher:
    """Publishes the payload; other fields of a message have no place in Pub/Sub or in a list.

    An entry of a stream has its payload in the field `payload` and its headers beside it.
    """

    def __init__(self, config: RedisPubSubConfig) -> None:
        self._config = config
        self._nodes = Nodes(config, name="eventhub-publisher")
        self._moved = False

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        """A stream, list or sharded channel is known by the configuration; all else is a channel.

        Raises NotConnected or PermanentFailure when there was no connection to begin with.
        """
        try:
            channel = channel_bytes(target)
        except UnicodeEncodeError:
            return [Refused("The channel's name cannot be written as bytes.")] * len(messages)
        command = self._command(target)
        if self._moved or self._nodes.lost:  # the server may have closed it meanwhile
            self._nodes.close()
            self._moved = False
        connection = self._nodes.of(channel)
        outcomes: list[Outcome] = []
        while len(outcomes) < len(messages):
            chunk = messages[len(outcomes) : len(outcomes) + _IN_FLIGHT]
            if connection.lost:
                outcomes += [Refused(f"Not sent: {connection.lost}")] * len(chunk)
            else:
                outcomes += self._publish(connection, command, channel, chunk)
        return outcomes

    def close(self) -> None:
        self._nodes.close()

    def _command(self, target: str) -> str:
        if target in self._config.streams or target in self._config.dead_letters:
            return "XADD"
        if target in self._config.lists:
            return push(self._config)
        return "SPUBLISH" if target in self._config.sharded_channels else "PUBLISH"

    def _publish(
        self, connection: Connection, command: str, channel: bytes, messages: Sequence[Message]
    ) -> list[Outcome]:
        """One outcome a message; what is not answered is unknown."""
        outcomes: list[Outcome] = []
        try:
            for message in messages:
                content = _entry(message) if command == "XADD" else (message.payload,)
                connection.send(command, channel, *content)
            deadline = time.monotonic() + CALL_SECONDS
            while len(outcomes) < len(messages):
                outcomes.append(self._outcome(command, connection.reply(deadline)))
        except NotConnected as error:
            unknown = Unknown(f"{error} The message may or may not have been sent.")
            outcomes += [unknown] * (len(messages) - len(outcomes))
        return outcomes

    def _outcome(self, command: str, reply: Any) -> Outcome:
        if isinstance(reply, hiredis.ReplyError):
            problem = refusal(reply, self._config)
            # After a failover, or when a slot has moved, the next publish looks anew.
            self._moved = isinstance(problem, NotConnected)
            return Refused(str(problem) if self._moved else f"The server refused: {reply}.")
        if command == "XADD":
            return Confirmed(f"It is entry {reply.decode()}.")
        if command in ("LPUSH", "RPUSH"):
            return Confirmed(f"The list has {reply} elements now.")
        # A subscriber counts once for each of its patterns that match.
        return Confirmed(f"{reply} subscription{'' if reply == 1 else 's'} received it.")


def _entry(message: Message) -> list[str | bytes]:
    fields: list[str | bytes] = ["*", PAYLOAD, message.payload]
    for name, value in message.headers:
        fields += [channel_bytes(name), value if isinstance(value, bytes) else header_text(value)]
    return fields
