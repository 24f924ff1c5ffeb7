"""The channels that have subscribers now, the prefixes that they share, and streams.

Redis knows a channel only while somebody subscribes to it: one that is only published to is
nowhere listed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connect import connect
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, channel_text
from eventhub.brokers.contract import Destination, Link
from eventhub.live.frames import CHANNEL

__all__ = ["discover"]

MOST: Final = 1_000
_SCANS: Final = 20
_STREAMS: Final = 100
_SEPARATOR: Final = re.compile(r"[.:/_-]")


def discover(config: RedisPubSubConfig) -> list[Destination]:
    """Patterns first, then channels, then sharded channels. Raises NotConnected or
    PermanentFailure."""
    connection = connect(config, name="eventhub-discovery")
    try:
        plain = _channels(connection, "CHANNELS", "NUMSUB")
        sharded = _sharded_channels(connection)
        streams = _streams(connection, set(config.dead_letters))
    except hiredis.ReplyError as error:
        raise refusal(error, config) from error
    finally:
        connection.close()
    found = [
        *_patterns(plain),
        *(
            Destination(_literal(name), "channel", _subscribers(count))
            for name, count in plain.items()
        ),
        *(
            Destination(name, "sharded channel", _subscribers(count))
            for name, count in sharded.items()
        ),
        *streams,
    ]
    return found[:MOST]


def _streams(connection: Connection, dead_letters: set[str]) -> list[Destination]:
    """Streams and their groups. A large database is looked at in part: each SCAN is a short call,
    and there are at most 20. None where the user may not scan, or before Redis 6."""
    names: set[bytes] = {channel_bytes(name) for name in dead_letters}
    cursor = b"0"
    try:
        for _ in range(_SCANS):
            cursor, found = connection.call("SCAN", cursor, "TYPE", "stream", "COUNT", "1000")
            names.update(found)
            if cursor == b"0":
                break
        return [
            _stream(connection, name, channel_text(name) in dead_letters)
            for name in sorted(names)[:_STREAMS]
        ]
    except hiredis.ReplyError:
        return []


def _stream(connection: Connection, name: bytes, dead_letters: bool) -> Destination:
    try:
        groups = connection.call("XINFO", "GROUPS", name)
    except hiredis.ReplyError:  # not there yet, or a list
        groups = []
    links = tuple(Link(channel_text(flat[1]), "consumer group") for flat in groups)
    detail = "dead letters" if dead_letters else f"{len(links)} groups"
    return Destination(
        channel_text(name), "stream", detail,
        dead_letters=dead_letters, links=links,
    )  # fmt: skip


def _channels(connection: Connection, listing: str, counting: str) -> dict[str, int]:
    # EventHub's own frames are not observed (consumer.py says why), so they are not offered.
    names = sorted(set(connection.call("PUBSUB", listing)) - {CHANNEL.encode()})[:MOST]
    if not names:
        return {}
    flat = connection.call("PUBSUB", counting, *names)
    counts = zip(flat[::2], flat[1::2], strict=True)
    return {channel_text(name): count for name, count in counts}


def _sharded_channels(connection: Connection) -> dict[str, int]:
    try:
        return _channels(connection, "SHARDCHANNELS", "SHARDNUMSUB")
    except hiredis.ReplyError:  # before Redis 7
        return {}


def _patterns(channels: Iterable[str]) -> list[Destination]:
    """`orders.*` where at least two channels begin with `orders.`."""
    families: dict[str, list[str]] = defaultdict(list)
    for name in channels:
        if separator := _SEPARATOR.search(name, 1):
            families[name[: separator.end()]].append(name)
    return [
        Destination(f"{_literal(prefix)}*", "pattern", f"{len(names)} channels now")
        for prefix, names in sorted(families.items())
        if len(names) > 1
    ]


def _literal(text: str) -> str:
    """The pattern that matches this text only: what was found is chosen as a pattern."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def _subscribers(count: int) -> str:
    return "1 subscriber" if count == 1 else f"{count} subscribers"
