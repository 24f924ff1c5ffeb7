"""What a protocol's connection does for a consumer; AMQP, STOMP and MQTT each have one."""

from collections.abc import Sequence
from typing import Final, Protocol

from collectors.activemq.names import Name
from eventhub.brokers.contract import Delivery

__all__ = ["HELD_BYTES", "OVERFLOW", "PREFETCH", "READ_AHEAD", "Feed"]

HELD_BYTES: Final = 64 * 1024 * 1024
"""Bytes of messages read ahead of the store at most."""
READ_AHEAD: Final = 5_000
"""Messages that the broker may send before it hears of us again, by subscription to a topic."""
PREFETCH: Final = 2_000
"""Messages of a queue that may be with us and not yet settled."""
OVERFLOW: Final = (
    "Events came faster than they were stored, and 64 MiB waited: EventHub left, so that the broker"
    " need not keep them."
)


class Feed(Protocol):
    """An open connection. After the first failure `lost` says why, and nothing more arrives."""

    @property
    def lost(self) -> str: ...

    @property
    def heard(self) -> int:
        """Time of the last sign of life, in milliseconds."""

    def subscribe(self, names: Sequence[Name], *, takes: bool) -> None:
        """Topics, or with `takes` queues whose messages wait for `settle`. Raises BrokerError."""

    def probe(self, names: Sequence[Name], seconds: float) -> None:
        """See whether they may be observed in the configured mode, and take nothing. Raises
        BrokerError."""

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for something, and read it. Never raises."""

    def take(self, most: int) -> tuple[list[Delivery], object]:
        """What has been read, and the handle by which `settle` knows it."""

    def settle(self, token: object) -> None:
        """Tell the broker that it may forget them; returns once it has heard. Raises
        NotConnected."""

    def close(self) -> None: ...

    def sever(self) -> None:
        """End it without a word, as a crash would."""
