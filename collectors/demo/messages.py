"""What the services of the city say to each other."""

from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import msgspec

__all__ = ["Message", "clock", "event", "short_id"]


class Message(NamedTuple):
    channel: str
    payload: bytes
    type: str | None = None
    id: str | None = None
    correlation_id: str | None = None
    content_type: str = "application/json"

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object of the payload."""
        decoded: dict[str, Any] = msgspec.json.decode(self.payload)
        return decoded


def event(
    channel: str, type: str, *, id: str, correlation_id: str | None = None, **fields: Any
) -> Message:
    """A JSON event that happens now."""
    head = {"type": type, "id": id, "time": clock()}
    if correlation_id is not None:
        head["correlation_id"] = correlation_id
    payload = msgspec.json.encode({**head, **fields})
    return Message(channel, payload, type, id, correlation_id)


def clock() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_id(chance: Random) -> str:
    """Twelve hexadecimal digits, the same for the same seed."""
    return f"{chance.getrandbits(48):012x}"
