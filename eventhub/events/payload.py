"""Payloads for people: what kind they are, as text, as hex, as one line. Plain text, no HTML."""

import codecs
import re
from typing import Final, Literal, TypeAlias

import msgspec

from eventhub.events.json_lines import json_lines

__all__ = ["HexRow", "PayloadKind", "classify", "hex_rows", "payload_text", "preview"]

PayloadKind: TypeAlias = Literal["text", "json", "binary"]

_CONTROL_BYTE: Final = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]")
_PICTURES: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {
    0x7F: 0x2421
}
_make_decoder: Final = codecs.getincrementaldecoder("utf-8")
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_JOINERS: Final = "\u200c\u200d"
_ROW: Final = 16


def classify(payload: bytes, content_type: str | None = None) -> PayloadKind:
    """How to show a payload first.

    `binary` is what is not UTF-8, or holds control characters that no text has (a small protobuf
    message is often valid UTF-8). A character cut at the very end is forgiven. `json` is an
    object or a list, also one that ends too early or is nested too deeply for a parser; a single
    number or text only where the content type says JSON.
    """
    if not _is_text(payload):
        return "binary"
    start = payload[:1000].removeprefix(_UTF8_BOM).lstrip()[:1]
    is_json = start in (b"{", b"[") or "json" in (content_type or "").lower()
    return "json" if is_json and _reads_as_json(payload.removeprefix(_UTF8_BOM)) else "text"


def payload_text(payload: bytes, limit: int | None = None) -> str:
    """The payload as text: bytes that are no UTF-8 as U+FFFD, control characters but tab and
    line ends as their pictures (NUL as ␀). `limit` is in bytes."""
    text = payload[:limit].removeprefix(_UTF8_BOM).decode("utf-8", "replace")
    return text.translate(_PICTURES)


def preview(payload: bytes, length: int = 120) -> str:
    """One line of at most `length` characters for a table, `…` at the end if there is more.

    Spaces and line ends become one space. What does not print, and marks that turn the direction
    of a line, become `·`, so that no payload can disturb its neighbours. Looks at the beginning
    only, so 5 MB cost what 1 KB does.
    """
    # A character has 4 bytes at most; the rest is room for spaces that fall together.
    head = payload[: 8 * length + 8]
    # An incremental decoder leaves out the half of a character at the end.
    text = _make_decoder("replace").decode(head.removeprefix(_UTF8_BOM), len(head) == len(payload))
    line = "".join(map(_printable, " ".join(text.split())))
    if len(line) <= length and len(head) == len(payload):
        return line
    return f"{line[: length - 1]}…"


class HexRow(msgspec.Struct, frozen=True):
    """16 bytes of a hex dump."""

    offset: int
    hex: str
    """`48 65 6c 6c 6f`, fewer at the end of the payload."""
    text: str
    """One character a byte: ASCII as it is, the rest as `·`."""


def hex_rows(payload: bytes, offset: int = 0, rows: int = 256) -> list[HexRow]:
    """One page of a hex dump, from the row that holds `offset`; empty behind the end."""
    first = max(offset, 0) // _ROW * _ROW
    return [
        _hex_row(payload, place)
        for place in range(first, min(len(payload), first + rows * _ROW), _ROW)
    ]


def _hex_row(payload: bytes, place: int) -> HexRow:
    row = payload[place : place + _ROW]
    text = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
    return HexRow(place, row.hex(" "), text)


def _is_text(payload: bytes) -> bool:
    if _CONTROL_BYTE.search(payload):
        return False
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start > 0
    return True


def _reads_as_json(payload: bytes) -> bool:
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except RecursionError:
        return True
    except msgspec.DecodeError:
        # msgspec is strict and fast; this also takes NaN and what was cut.
        lines = json_lines(payload.decode("utf-8", "replace"), max_lines=1000)
        return bool(lines.lines) and lines.error_at is None
    return True


def _printable(character: str) -> str:
    return character if character.isprintable() or character in _JOINERS else "·"
