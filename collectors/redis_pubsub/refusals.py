"""What a Redis server's error replies mean for a person."""

from typing import Final

from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["refusal"]

_COME_BACK: Final = ("LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "ERR max number")


def refusal(error: Exception, config: RedisPubSubConfig) -> BrokerError:
    """The error to raise for an error reply (https://redis.io/docs/latest/develop/reference/)."""
    # Redis repeats a command that it does not know with its arguments: a password must not show.
    text = str(error).split(", with args")[0]
    if text.startswith(_COME_BACK):
        return NotConnected(f"The server cannot serve us now: {text}.")
    if text.startswith("WRONGPASS"):
        who = f"user {config.user!r}" if config.user else "the default user"
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
    if text.startswith("NOPERM"):
        return PermanentFailure(
            f"The user may not do this: {text.removeprefix('NOPERM ')}.", way_out=_grant(config)
        )
    return _other_refusal(text)


def _other_refusal(text: str) -> BrokerError:
    if text.startswith("DENIED"):
        return PermanentFailure(
            "The server is in protected mode and takes connections from its own machine only.",
            way_out="Set a password on the server and `protected-mode no`.",
        )
    if text.startswith("MOVED"):
        return PermanentFailure(
            f"The sharded channel lives on another node of the cluster: {text.split()[-1]}.",
            way_out="Add a source for that node, with its sharded channels.",
        )
    if "unknown command" in text.lower():
        return PermanentFailure(
            f"The server lacks a command: {text}.",
            way_out="Sharded channels need Redis 7 or Valkey; users need Redis 6.",
        )
    return PermanentFailure(f"The server refused: {text}.")


def _grant(config: RedisPubSubConfig) -> str:
    """The command that grants what this configuration needs, and no more."""
    channels = " ".join(f"&{name}" for name in [*config.patterns, *config.sharded_channels])
    return (
        f"ACL SETUSER {config.user or 'default'} +ping +psubscribe +ssubscribe"
        f" +pubsub +client|setname +info {channels}"
    )
