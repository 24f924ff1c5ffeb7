"""What is new in a list since the last look, though its elements have no ids.

A queue loses elements at its old end and gains them at the other. So of what the last look saw, a
first part is gone and the rest stands at the old end now; behind it is what is new. Where that does
not fit (somebody removed from the middle, or put an element back at the old end), both looks are
compared as multisets: an element is new as often as it is there more often than before. Either way
two honest elements with the same bytes stay two.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

__all__ = ["digest", "kept", "pack", "surplus", "unpack"]

_SIZE: Final = 8


def digest(element: bytes) -> bytes:
    """What is remembered of an element: 8 bytes."""
    return hashlib.blake2b(element, digest_size=_SIZE).digest()


def kept(before: Sequence[bytes], oldest: Sequence[bytes], length: int) -> int | None:
    """How many of the last look's elements, from its newest backwards, are still there.

    `oldest` are the first elements of now, `length` how long the list is. The most that fits is
    taken. None where nothing fits and the list is not empty.
    """
    if not before or not length:
        return 0
    for gone in range(max(0, len(before) - length), len(before)):
        there = before[gone : gone + len(oldest)]
        if there == oldest[: len(there)]:
            return len(before) - gone
    return None


def surplus(known: Counter[bytes], now: Sequence[bytes]) -> list[int]:
    """Indexes of `now` whose element is there more often than in `known`, of which the others are
    taken away."""
    found = []
    for index, element in enumerate(now):
        if known[element] > 0:
            known[element] -= 1
        else:
            found.append(index)
    return found


def pack(digests: Sequence[bytes]) -> str:
    """For the checkpoint."""
    return base64.b64encode(b"".join(digests)).decode()


def unpack(text: str) -> list[bytes]:
    """The inverse of `pack`."""
    raw = base64.b64decode(text)
    return [raw[start : start + _SIZE] for start in range(0, len(raw), _SIZE)]
