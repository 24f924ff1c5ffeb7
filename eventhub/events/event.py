"""The event: EventHub's stored observation of one delivery."""

from datetime import UTC, datetime
from enum import IntFlag
from typing import Final

import msgspec

from eventhub.events.headers import NO_HEADERS, Header, decode_headers
from eventhub.events.identity import time_of

__all__ = ["Event", "Flag", "as_datetime"]


class Flag(IntFlag):
    """What is special about an event. Stored as one small integer; `is:` asks for it by name."""

    REDELIVERED = 1
    """The broker said, at the first sight of this event, that it had delivered it before."""
    TRUNCATED = 2
    """The payload was longer than the source's limit and has been cut; it cannot be replayed."""
    BINARY = 4
    """The payload is not UTF-8 text."""


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One observed message, as it is stored, sent to live pages, searched and replayed.

    Times are whole milliseconds since 1970-01-01T00:00Z. The observed time is part of the id.
    Text fields are always storable text (see `eventhub.events.text`); the payload is the bytes
    that the broker delivered.
    """

    id: bytes
    """UUIDv7 (RFC 9562), 16 bytes, big-endian: sorts by observed time, then by arrival."""
    source_id: int
    destination: str
    payload: bytes
    payload_size: int
    """Length of the payload on the broker, in bytes; more than `len(payload)` if it was cut."""
    type: str | None = None
    key: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    position: str | None = None
    event_time: int | None = None
    """When the producer says it happened."""
    broker_time: int | None = None
    """When the broker says it accepted the message."""
    headers: bytes = NO_HEADERS
    """JSON text, as `eventhub.events.headers` writes it."""
    flags: int = 0
    redeliveries: int = 0
    """How often the broker delivered this message again after EventHub had stored it."""

    @property
    def time(self) -> int:
        """Observed time in milliseconds."""
        return time_of(self.id)

    @property
    def header_list(self) -> list[Header]:
        """The headers with their types, in their order."""
        return decode_headers(self.headers)

    @property
    def uuid(self) -> str:
        """The id as people write it: `019a5b1e-7c40-7d2a-9f11-c04e5d6f7a8b`."""
        text = self.id.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_EARLIEST: Final = -62_135_596_800_000
_LATEST: Final = 253_402_300_799_999


def as_datetime(milliseconds: int) -> datetime | None:
    """UTC datetime of a time in milliseconds; None where no calendar date can hold it.

    Producers' clocks are not ours: a header may say year 60000. Such a time is shown as a number.
    """
    if not _EARLIEST <= milliseconds <= _LATEST:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
