"""Publishing to a channel, and what the server says of it."""

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connect import connect
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.translate import channel_bytes
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import NotConnected

__all__ = ["RedisPublisher"]


class RedisPublisher:
    """Publishes the payload; the other fields of a message have no place in Redis Pub/Sub."""

    def __init__(self, config: RedisPubSubConfig) -> None:
        self._config = config
        self._connection: Connection | None = None

    def publish(self, message: Message, target: str) -> Outcome:
        """A configured sharded channel gets SPUBLISH, every other channel PUBLISH.

        Raises NotConnected or PermanentFailure when there was no connection to begin with.
        """
        try:
            channel = channel_bytes(target)
        except UnicodeEncodeError:
            return Refused("The channel's name cannot be written as bytes.")
        sharded = target in self._config.sharded_channels
        connection = self._connected()
        try:
            count = connection.call("SPUBLISH" if sharded else "PUBLISH", channel, message.payload)
        except hiredis.ReplyError as error:
            return Refused(f"The server refused: {error}.")
        except NotConnected as error:
            return Unknown(f"{error} The message may or may not have been sent.")
        # A subscriber counts once for each of its patterns that match.
        return Confirmed(f"{count} subscription{'' if count == 1 else 's'} received it.")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        """A live connection: one that the server has closed meanwhile is made anew."""
        if self._connection is not None:
            self._connection.drain()
            if not self._connection.lost:
                return self._connection
            self.close()
        self._connection = connect(self._config, name="eventhub-publisher")
        return self._connection
