"""A row: the little of an event that a live page draws."""

from typing import Final, overload

import msgspec

from eventhub.events.event import Event, Flag

__all__ = ["Row", "clip", "row_of"]

LONGEST_TEXT: Final = 160
"""Characters of a type, key or destination on a row; producers may send a type of 1 MB."""
LONGEST_PREVIEW: Final = 240

_FLAGS: Final = tuple((flag, (flag.name or "").lower()) for flag in Flag)
_BLANKS: Final = dict.fromkeys((*range(32), 127), " ")


class Row(msgspec.Struct, frozen=True, gc=False):
    """What the page gets of one event. Times in milliseconds, sizes in bytes."""

    id: str
    time: int
    source: str
    destination: str
    type: str | None
    key: str | None
    size: int
    preview: str
    """The beginning of the payload on one line; empty when it is not text."""
    flags: list[str]


def row_of(event: Event, source: str) -> Row:
    binary = event.flags & Flag.BINARY
    return Row(
        event.uuid,
        event.time,
        source,
        clip(event.destination),
        clip(event.type),
        clip(event.key),
        event.payload_size,
        "" if binary else _preview(event.payload),
        [name for flag, name in _FLAGS if event.flags & flag] if event.flags else [],
    )


@overload
def clip(text: str) -> str: ...
@overload
def clip(text: str | None) -> str | None: ...
def clip(text: str | None) -> str | None:
    """`text` short enough for a row; an ellipsis says that there is more."""
    if text is None or len(text) <= LONGEST_TEXT:
        return text
    return text[: LONGEST_TEXT - 1] + "…"


def _preview(payload: bytes) -> str:
    # A character is up to four bytes, and the cut may fall inside one: that one is left out.
    start = payload[: LONGEST_PREVIEW * 4].decode("utf-8", "ignore")
    line = " ".join(start.translate(_BLANKS).split())
    return line if len(line) <= LONGEST_PREVIEW else line[: LONGEST_PREVIEW - 1] + "…"
