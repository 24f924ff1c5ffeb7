"""What waits in the configured streams and lists, and who listens to channels.

A channel keeps nothing, so it has subscribers and no depth. How far a slow subscriber is behind
is bytes in the server's output buffer, which no count of messages can be made of.
"""

import time
from collections import Counter
from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.nodes import Nodes
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
        self._nodes = Nodes(config, name="eventhub-depth")

    def sample(self, limit: int) -> Depths:
        if self._nodes.lost:
            self._nodes.close()
        try:
            samples = [*self._keys(), *self._channels()]
        except hiredis.ReplyError as error:
            self._nodes.close()  # a failover, or a slot that moved: the next look finds it
            raise refusal(error, self._config) from error
        samples.sort(key=lambda sample: sample.waiting or 0, reverse=True)
        return Depths(samples[:limit], max(0, len(samples) - limit))

    def close(self) -> None:
        self._nodes.close()

    def _keys(self) -> list[Depth]:
        config = self._config
        dead = set(config.dead_letters)
        names = dict.fromkeys([*config.streams, *config.lists, *config.dead_letters])
        return [
            depth
            for name in names
            for depth in _key(self._nodes.of(channel_bytes(name)), name, dead_letters=name in dead)
        ]

    def _channels(self) -> list[Depth]:
        """Two calls for each pattern and server, however many channels it matches. A node of a
        cluster tells its own subscribers only."""
        totals: Counter[bytes] = Counter()
        for connection in self._nodes.every() if self._config.patterns else ():
            counts: dict[bytes, int] = {}
            for pattern in self._config.patterns:
                names = set(connection.call("PUBSUB", "CHANNELS", channel_bytes(pattern))) - {_OWN}
                if names:
                    flat = connection.call("PUBSUB", "NUMSUB", *sorted(names))
                    counts.update(pairs(flat))
            totals.update(counts)
        return [Depth(channel_text(name), consumers=count) for name, count in totals.items()]


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
