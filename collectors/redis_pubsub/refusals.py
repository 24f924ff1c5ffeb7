"""What a Redis server's error replies mean for a person."""

import re
from typing import Final

from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["FENCED", "refusal"]

_COME_BACK: Final = ("LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "ERR max number")
_MOVED: Final = ("MOVED", "ASK", "READONLY")
_SCRIPT: Final = re.compile(r",? script: [0-9a-f]{40}.*", re.DOTALL)
_IN_A_SCRIPT: Final = ("ACL failure in script", "The user executing the script can't")
"""A missing right in a script, as Valkey and as Redis say it."""
FENCED: Final = "NOTOURS"
"""How our own scripts say that another collector has taken a list over."""


def refusal(error: Exception, config: RedisPubSubConfig, user: str | None = None) -> BrokerError:
    """The error to raise for an error reply (https://redis.io/docs/latest/develop/reference/).

    `user`: who signed in, where it is not the configuration's user.
    """
    user = config.user if user is None else user
    # Redis repeats a command that it does not know with its arguments: a password must not show.
    text = _SCRIPT.sub("", str(error).split(", with args")[0])
    if text.startswith(_COME_BACK):
        return NotConnected(f"The server cannot serve us now: {text}.")
    if text.startswith("WRONGPASS"):
        who = f"user {user!r}" if user else "the default user"
        return PermanentFailure(
            f"The server refused the name or the password of {who}.",
            way_out="Enter both again; ACL LIST on the server shows its users.",
        )
    if "without any password configured" in text:
        return PermanentFailure(
            "A password is given, and the server's default user has none.",
            way_out="Leave the password empty, or give the ACL user that it belongs to.",
        )
    if text.startswith("NOAUTH"):
        return PermanentFailure(
            "The server asks for a password.", way_out="Enter the password, and the user if any."
        )
    if text.startswith("NOPERM") or any(words in text for words in _IN_A_SCRIPT):
        what = text.removeprefix("NOPERM ").removeprefix("ERR ")
        return PermanentFailure(f"The user may not do this: {what}.", way_out=_grant(config))
    if text.startswith(FENCED):
        return NotConnected("Another collector of this source has taken the list over.")
    if text.startswith(_MOVED):
        return _moved(text, config)
    return _other_refusal(text)


def _moved(text: str, config: RedisPubSubConfig) -> BrokerError:
    """The server that serves this is another one (now)."""
    if config.deployment == "single" and not text.startswith("READONLY"):
        return PermanentFailure(
            f"The server is a node of a cluster, and another serves this: {text.split()[-1]}.",
            way_out="Choose the deployment cluster, and give this node to begin with.",
        )
    if config.deployment == "single":
        return PermanentFailure(
            "The server is a replica, which takes no change.",
            way_out="Give the master, or choose the deployment sentinel.",
        )
    return NotConnected(f"Another server serves this now, after a failover or a move: {text}.")


def _other_refusal(text: str) -> BrokerError:
    if text.startswith("DENIED"):
        return PermanentFailure(
            "The server is in protected mode and takes connections from its own machine only.",
            way_out="Set a password on the server and `protected-mode no`.",
        )
    if "cluster support disabled" in text:
        return PermanentFailure(
            "The server is no node of a cluster.", way_out="Choose the deployment single."
        )
    if "WRONGTYPE" in text:
        return PermanentFailure(
            "A key that is named here is of another type (WRONGTYPE).",
            way_out="TYPE on the server tells; a list cannot be read as a stream, nor the reverse.",
        )
    if "unknown command" in text.lower():
        return PermanentFailure(
            f"The server lacks a command: {text}.",
            way_out="Sharded channels need Redis 7 or Valkey; users need Redis 6.",
        )
    return PermanentFailure(f"The server refused: {text}.")


def _grant(config: RedisPubSubConfig) -> str:
    """The command that grants what this configuration needs, and no more."""
    rights = {
        "tap": "+psubscribe +ssubscribe +pubsub +info",
        "log": "+xread +xinfo +xrevrange",
        "browse": "+lrange +llen",
        "consume": "+eval +hget +hset +hsetnx +hincrby +del +lrange +llen +ltrim +rpop +lpush"
        " +rpush +sadd +srem +smembers",
    }
    reach = {
        "tap": [f"&{name}" for name in [*config.patterns, *config.sharded_channels]],
        "log": [f"%R~{name}" for name in config.streams],
        "browse": [f"%R~{name}" for name in config.lists],
        "consume": [f"~{name}" for name in [*config.lists, "eventhub:*"]],
    }
    cluster = " +cluster|slots" if config.deployment == "cluster" else ""
    return (
        f"ACL SETUSER {config.user or 'default'} +ping +client|setname {rights[config.mode]}"
        f"{cluster} {' '.join(reach[config.mode])}"
    )
