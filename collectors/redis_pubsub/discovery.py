"""The channels that have subscribers now, the prefixes that they share, streams and lists.

Redis knows a channel only while somebody subscribes to it: one that is only published to is
nowhere listed.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.lists import OWN
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, channel_text, pairs
from eventhub.brokers.contract import Destination, Link
from eventhub.live.frames import CHANNEL

__all__ = ["discover"]

MOST: Final = 1_000
_SCANS: Final = 20
_KEYS: Final = 100
"""Of each type; every one is asked about."""
_SEPARATOR: Final = re.compile(r"[.:/_-]")


def discover(config: RedisPubSubConfig) -> list[Destination]:
    """Patterns first, then streams, lists, channels and sharded channels. Raises NotConnected or
    PermanentFailure."""
    nodes = Nodes(config, name="eventhub-discovery")
    try:
        servers = nodes.every()
        plain = _channels(servers, "CHANNELS", "NUMSUB")
        sharded = _sharded_channels(servers)
        streams = _streams(nodes, config)
        lists = _lists(nodes, config)
    except hiredis.ReplyError as error:
        raise refusal(error, config) from error
    finally:
        nodes.close()
    found = [
        *_patterns(plain),
        *streams,
        *lists,
        *(
            Destination(_literal(name), "channel", _subscribers(count))
            for name, count in plain.items()
        ),
        *(
            Destination(name, "sharded channel", _subscribers(count))
            for name, count in sharded.items()
        ),
    ]
    return found[:MOST]


def _streams(nodes: Nodes, config: RedisPubSubConfig) -> list[Destination]:
    dead_letters = set(map(channel_bytes, config.dead_letters))
    return [
        _stream(nodes.of(name), name, name in dead_letters)
        for name in _scan(nodes, "stream", dead_letters)
    ]


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


def _lists(nodes: Nodes, config: RedisPubSubConfig) -> list[Destination]:
    """An empty list is no key: those that the source names are told all the same."""
    found = []
    for name in _scan(nodes, "list", set(map(channel_bytes, config.lists))):
        try:
            detail = f"{nodes.of(name).call('LLEN', name)} waiting"
        except hiredis.ReplyError:  # of another type by now, or the user may not ask
            detail = ""
        found.append(Destination(channel_text(name), "list", detail))
    return found


def _scan(nodes: Nodes, kind: str, named: set[bytes]) -> list[bytes]:
    """Keys of a type, those that are named first. A large database is looked at in part: each SCAN
    is a short call, and there are at most 20 on a server. The named ones alone where the user may
    not scan, or before Redis 6."""
    found: set[bytes] = set()
    for connection in nodes.every():
        cursor = b"0"
        try:
            for _ in range(_SCANS):
                cursor, keys = connection.call("SCAN", cursor, "TYPE", kind, "COUNT", "1000")
                found.update(key for key in keys if not key.startswith(OWN))
                if cursor == b"0":
                    break
        except hiredis.ReplyError:
            break
    return [*sorted(named), *sorted(found - named)][:_KEYS]


def _channels(servers: Iterable[Connection], listing: str, counting: str) -> dict[str, int]:
    """Channels and how many subscribe; a node of a cluster tells its own subscribers only."""
    totals: Counter[bytes] = Counter()
    for connection in servers:
        # EventHub's own frames are not observed (subscription.py says why), and so not offered.
        names = sorted(set(connection.call("PUBSUB", listing)) - {CHANNEL.encode()})[:MOST]
        if names:
            totals.update(pairs(connection.call("PUBSUB", counting, *names)))
    return {channel_text(name): totals[name] for name in sorted(totals)}


def _sharded_channels(servers: Iterable[Connection]) -> dict[str, int]:
    try:
        return _channels(servers, "SHARDCHANNELS", "SHARDNUMSUB")
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
