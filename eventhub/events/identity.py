"""Identities: an event's own id, and the digests that recognise a delivery seen before."""

import hashlib
import os
from typing import Final

__all__ = ["EventIds", "delivery_digest", "first_id", "parse_id", "time_of"]

_VERSION: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62
_COUNTER_BITS: Final = 26
_RANDOM_BITS: Final = 48


class EventIds:
    """Makes UUIDv7s (RFC 9562, section 6.2, methods 1 and 2) that strictly increase.

    74 bits follow the time: a 26-bit counter, so that the events of one batch keep the order
    in which they arrived, then 48 random bits. When the clock steps back the last time is kept,
    so the page cursor and catch-up never run backwards within one collector.
    """

    def __init__(self) -> None:
        self._time = 0
        self._counter = 0

    def take(self, count: int, now: int) -> list[bytes]:
        """`count` ids for events observed at `now` (milliseconds since 1970)."""
        if now > self._time:
            self._time, self._counter = now, 0
        random = os.urandom(6 * count)
        ids = []
        for index in range(count):
            if self._counter >> _COUNTER_BITS:
                self._time, self._counter = self._time + 1, 0
            tail = self._counter << _RANDOM_BITS | int.from_bytes(
                random[6 * index : 6 * index + 6], "big"
            )
            self._counter += 1
            ids.append(_assemble(self._time, tail))
        return ids


def first_id(time: int) -> bytes:
    """The least id of a time: every event observed at or after `time` sorts at or above it."""
    return _assemble(min(max(time, 0), (1 << 48) - 1), 0)


def time_of(event_id: bytes) -> int:
    """The observed time in an id, in milliseconds since 1970."""
    return int.from_bytes(event_id[:6], "big")


def parse_id(text: str) -> bytes:
    """The id that a person or a URL gave. Raises ValueError when it is none."""
    raw = bytes.fromhex(text.replace("-", ""))
    if len(raw) != 16 or raw[6] >> 4 != 7 or raw[8] >> 6 != 0b10:
        raise ValueError(f"{text!r} is not an event id (a UUID of version 7)")
    return raw


def delivery_digest(*parts: bytes | str | None) -> bytes:
    """16 bytes that stand for a delivery's content or place; equal parts give equal digests.

    Lengths are hashed with the parts, so ("ab", "c") and ("a", "bc") differ, and None differs
    from an empty text.
    """
    pieces: list[bytes] = []
    for part in parts:
        if part is None:
            pieces.append(b"-")
            continue
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        pieces += (b"%d:" % len(raw), raw)
    return hashlib.blake2b(b"".join(pieces), digest_size=16).digest()


def _assemble(time: int, tail: int) -> bytes:
    high, low = tail >> 62, tail & ((1 << 62) - 1)
    return (time << 80 | _VERSION | high << 64 | _VARIANT | low).to_bytes(16, "big")
