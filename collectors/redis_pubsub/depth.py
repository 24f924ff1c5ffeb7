"""What waits in the configured streams and lists, and who listens to channels.

A channel keeps nothing, so it has subscribers and no depth. How far a slow subscriber is behind
is bytes in the server's output buffer, which no count of messages can be made of.
"""

import time
from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connect import connect
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, channel_text, pairs
from eventhub.brokers.contract import Depth, Depths
from eventhub.live.frames import CHANNEL

__all__ = ["DepthProbe"]

_OWN: Final = CHANNEL.encode()


class DepthProbe:
    """See `eventhub.brokers.contract.DepthProbe`."""

    def __init__(self, config: RedisPubSubConfig) -> None:
        self._config = config
        self._connection: Connection | None = None

    def sample(self, limit: int) -> Depths:
        if self._connection is None or self._connection.lost:
            self._connection = connect(self._config, name="eventhub-depth")
        try:
            samples = [*self._keys(self._connection), *self._channels(self._connection)]
        except hiredis.ReplyError as error:
            raise refusal(error, self._config) from error
        samples.sort(key=lambda sample: sample.waiting or 0, reverse=True)
        return Depths(samples[:limit], max(0, len(samples) - limit))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _keys(self, connection: Connection) -> list[Depth]:
        dead = set(self._config.dead_letters)
        names = list(dict.fromkeys([*self._config.streams, *self._config.dead_letters]))
        return [
            depth for name in names for depth in _key(connection, name, dead_letters=name in dead)
        ]

    def _channels(self, connection: Connection) -> list[Depth]:
        """Two calls for each pattern, however many channels it matches."""
        counts: dict[bytes, int] = {}
        for pattern in self._config.patterns:
            names = set(connection.call("PUBSUB", "CHANNELS", channel_bytes(pattern))) - {_OWN}
            if names:
                flat = connection.call("PUBSUB", "NUMSUB", *sorted(names))
                counts.update(zip(flat[::2], flat[1::2], strict=True))
        return [Depth(channel_text(name), consumers=count) for name, count in counts.items()]


def _key(connection: Connection, name: str, *, dead_letters: bool) -> list[Depth]:
    """A list's length; a stream's, and what each of its groups has not read and not acknowledged
    (https://redis.io/docs/latest/commands/xinfo-groups/)."""
    key = channel_bytes(name)
    kind = connection.call("TYPE", key)
    if kind == b"list":
        return [Depth(name, waiting=connection.call("LLEN", key), dead_letters=dead_letters)]
    if kind != b"stream":
        return [Depth(name, waiting=0, dead_letters=dead_letters)] if kind == b"none" else []
    groups = [pairs(flat) for flat in connection.call("XINFO", "GROUPS", key)]
    whole = Depth(
        name,
        waiting=connection.call("XLEN", key),
        oldest_age=_age(connection.call("XRANGE", key, "-", "+", "COUNT", "1")),
        dead_letters=dead_letters,
    )
    return [whole, *(_group(name, group) for group in groups)]


def _group(name: str, group: dict[bytes, Any]) -> Depth:
    # Before Redis 7, and where entries were deleted, the server knows no lag.
    return Depth(
        name,
        waiting=group.get(b"lag"),
        in_flight=group[b"pending"],
        consumers=group[b"consumers"],
        group=channel_text(group[b"name"]),
    )


def _age(first: list[Any]) -> int | None:
    """The server's own ids begin with the time in milliseconds."""
    if not first:
        return None
    stamp = int(first[0][0].split(b"-")[0])
    age = time.time_ns() // 1_000_000 - stamp
    return age if 0 <= age < stamp else None
