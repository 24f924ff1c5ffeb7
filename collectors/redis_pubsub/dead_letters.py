"""Dead letters in a stream, where the consumers put them.

Redis itself knows no dead letters. Consumers that cannot handle a message add it to a stream with
the reason beside it; the fields that are usual for each are looked for.
"""

from collections.abc import Sequence
from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, channel_text, entry_delivery, pairs
from eventhub.brokers.contract import (
    Confirmed,
    DeadLetter,
    DeadLetterAccess,
    Delivery,
    Outcome,
    Refused,
    Unknown,
)
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["ACCESS", "DeadLetters"]

ACCESS: Final = DeadLetterAccess(
    peeks=True,
    claims=False,
    note="Letters stay in their stream until they are removed; removing one deletes its entry.",
)

# The first that an entry has is taken.
_ORIGIN: Final = (b"origin", b"channel", b"destination")
_REASON: Final = (b"reason", b"error")
_ATTEMPTS: Final = (b"attempts", b"retries", b"deliveries")
_EXCEPTION: Final = (b"exception", b"error_type")
_STACK_TRACE: Final = (b"stack_trace", b"traceback")


class DeadLetters:
    """See `eventhub.brokers.contract.DeadLetters`."""

    def __init__(self, config: RedisPubSubConfig) -> None:
        self._config = config
        self._nodes = Nodes(config, name="eventhub-dead-letters")

    def peek(self, queue: str, limit: int, after: str | None = None) -> list[DeadLetter]:
        start = f"({after}" if after else "-"
        entries = self._call("XRANGE", channel_bytes(queue), start, "+", "COUNT", str(limit))
        # An entry that was deleted while it was read is told as nil.
        return [
            _letter(queue, entry_id, pairs(flat)) for entry_id, flat in entries if flat is not None
        ]

    def claim(self, queue: str, limit: int, max_wait: float) -> list[DeadLetter]:
        raise PermanentFailure(
            "A stream's entries are not claimed: they stay, and can be read and removed."
        )

    def remove(self, letters: Sequence[DeadLetter]) -> list[Outcome]:
        return [self._remove(letter.delivery) for letter in letters]

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """Nothing is held."""

    def close(self) -> None:
        self._nodes.close()

    def _remove(self, delivery: Delivery) -> Outcome:
        if delivery.position is None:
            return Refused("The letter has no position in its stream.")
        try:
            count = self._call("XDEL", channel_bytes(delivery.destination), delivery.position)
        except PermanentFailure as error:
            return Refused(str(error))
        except NotConnected as error:
            return Unknown(str(error))
        return Confirmed() if count else Refused("Somebody else has removed it.")

    def _call(self, command: str, key: bytes, *arguments: str) -> Any:
        if self._nodes.lost:
            self._nodes.close()
        try:
            return self._nodes.of(key).call(command, key, *arguments)
        except hiredis.ReplyError as error:
            self._nodes.close()  # a failover, or a slot that moved: the next call looks again
            raise refusal(error, self._config) from error


def _letter(queue: str, entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    attempts = _first(fields, _ATTEMPTS)
    found = entry_delivery(queue, entry_id, fields)
    return DeadLetter(
        found,
        origin=_first(fields, _ORIGIN),
        reason=_first(fields, _REASON),
        attempts=int(attempts) if attempts and attempts.isdecimal() else None,
        died_at=found.broker_time,
        exception=_first(fields, _EXCEPTION),
        stack_trace=_first(fields, _STACK_TRACE),
    )


def _first(fields: dict[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    return next((channel_text(fields[name]) for name in names if fields.get(name)), None)
