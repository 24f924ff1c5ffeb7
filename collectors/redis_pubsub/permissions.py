"""What the user may do, tried in earnest: that cannot be wrong, and it harms nobody."""

from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.lists import MAY_TAKE, keys, push
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.subscription import subscribe
from collectors.redis_pubsub.translate import channel_bytes
from eventhub.brokers.contract import Observation

__all__ = ["may_observe"]

_NOBODY: Final = Observation(source_id=0, name="check", installation="check")


def may_observe(config: RedisPubSubConfig, nodes: Nodes) -> str:
    """In words. Subscribes for a moment, or reads one element of each stream or list. Raises
    NotConnected or PermanentFailure."""
    try:
        if config.mode == "tap":
            limit = _output_buffer_limit(nodes.any())
            subscribe(nodes, config)
            return f"May subscribe to all that is configured. {limit}"
        if config.mode == "log":
            for key in map(channel_bytes, config.streams):
                nodes.of(key).call("XREVRANGE", key, "+", "-", "COUNT", "1")
            return f"May read {len(config.streams)} stream(s)."
        for name in config.lists:
            _may_read(config, nodes, name)
    except hiredis.ReplyError as error:
        raise refusal(error, config) from error
    verb = "read" if config.mode == "browse" else "take from"
    return f"May {verb} {len(config.lists)} list(s)."


def _may_read(config: RedisPubSubConfig, nodes: Nodes, name: str) -> None:
    key, taken, _ = keys(_NOBODY, name)
    if config.mode == "browse":
        nodes.of(key).call("LRANGE", key, "0", "0")
    else:
        probe = taken + b":probe"
        nodes.of(key).call("EVAL", MAY_TAKE, "2", key, probe, push(config, old=True))


def _output_buffer_limit(connection: Connection) -> str:
    """What the server lets a slow subscriber pile up before it drops it, in words."""
    try:
        reply: list[Any] = connection.call("CONFIG", "GET", "client-output-buffer-limit")
        _, _, tail = reply[1].partition(b"pubsub ")
        hard, soft, seconds = (int(text) for text in tail.split()[:3])
    except (hiredis.ReplyError, ValueError, IndexError):
        return "Its output buffer limit is not shown to this user (32 MB unless changed)."
    if not hard and not soft:
        return "The server never drops a slow subscriber (client-output-buffer-limit)."
    return (
        f"The server drops a subscriber that is {_megabytes(hard)} behind, or"
        f" {_megabytes(soft)} for {seconds} s (client-output-buffer-limit); that is a gap."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:.3g} MB"
