"""AMQP 1.0 messages as bytes: the broker replaces their head and never touches the rest.

Section 3.2 of the messaging part: header (0x70), delivery annotations (0x71) and message
annotations (0x72) belong to the way; properties (0x73) and what follows are the bare message.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from proton import Message

__all__ = ["Parts", "group_id", "head", "join_properties", "parts", "unbatch"]

_HEADER, _ANNOTATIONS, _PROPERTIES, _APPLICATION, _DATA = 0x70, 0x72, 0x73, 0x74, 0x75
_EMPTY_BODY = b"\x00\x53\x77\x40"


class Parts(NamedTuple):
    bare: bytes
    annotations: dict[str, object]
    ttl: int | None
    """Milliseconds."""


def sections(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Code, start and end of each section; `raw` as a whole is one message."""
    at = 0
    while at < len(raw):
        if raw[at : at + 2] != b"\x00\x53":
            raise ValueError("no section begins here")
        code, constructor = raw[at + 2], raw[at + 3]
        if constructor in (0xA0, 0xA1, 0xC0, 0xC1):
            end = at + 5 + raw[at + 4]
        elif constructor in (0xB0, 0xB1, 0xD0, 0xD1):
            end = at + 8 + struct.unpack_from(">I", raw, at + 4)[0]
        elif constructor == 0x45:
            end = at + 4
        else:  # a value section holds any type, and is the last
            end = len(raw)
        yield code, at, end
        at = end


def unbatch(raw: bytes) -> list[bytes]:
    """The messages of a transfer: of a batch (message format 0x80013700) each data section is one.

    Proton does not tell the message format, so a batch is known by what its sections hold.
    """
    inner = [
        raw[start + (5 if raw[start + 3] == 0xA0 else 8) : end]
        for code, start, end in sections(raw)
        if code == _DATA
    ]
    return inner if inner and all(map(_is_message, inner)) else [raw]


def _is_message(raw: bytes) -> bool:
    try:
        codes = [code for code, _, _ in sections(raw)]
    except (ValueError, IndexError, struct.error):
        return False
    return bool(codes) and set(codes) <= set(range(_HEADER, 0x79))


def parts(raw: bytes) -> Parts:
    start_of_bare = len(raw)
    way = b""
    for code, start, end in sections(raw):
        if code >= _PROPERTIES:
            start_of_bare = start
            break
        if code in (_HEADER, _ANNOTATIONS):
            way += raw[start:end]
    if not way:
        return Parts(raw[start_of_bare:], {}, None)
    message = Message()
    message.decode(way + _EMPTY_BODY)
    annotations: dict[str, object] = {
        str(name): int(value) if isinstance(value, int) else str(value)
        for name, value in (message.annotations or {}).items()
    }
    ttl = round(message.ttl * 1000) if message.ttl else None
    return Parts(raw[start_of_bare:], annotations, ttl)


def group_id(bare: bytes) -> str | None:
    """Service Bus calls it the session id."""
    for code, start, end in sections(bare):
        if code == _PROPERTIES:
            message = Message()
            message.decode(bare[start:end] + _EMPTY_BODY)
            return message.group_id or None
    return None


def head(annotations: dict[str, object], ttl: int | None, delivery_count: int) -> bytes:
    """Header and message annotations. A delivery count of 0 is left out, as Azure does."""
    fields = b"\x41\x40" + (b"\x40" if ttl is None else b"\x70" + struct.pack(">I", ttl)) + b"\x40"
    fields += b"\x43" if not delivery_count else b"\x52" + bytes([min(delivery_count, 255)])
    header = b"\x00\x53\x70\xc0" + bytes([len(fields) + 1, 5]) + fields
    body = b"".join(_symbol(name) + _value(name, each) for name, each in annotations.items())
    size = struct.pack(">II", len(body) + 4, 2 * len(annotations))
    return header + b"\x00\x53\x72\xd1" + size + body


def join_properties(bare: bytes, more: dict[str, str]) -> bytes:
    """The bare message with these application properties besides its own."""
    found = {code: bare[start:end] for code, start, end in sections(bare)}
    message = Message()
    message.decode(found.get(_APPLICATION, b"") + _EMPTY_BODY)
    own: dict[str, Any] = message.properties or {}
    message.properties = {**own, **more}  # type: ignore[assignment]
    encoded = message.encode()
    [application] = [encoded[a:b] for code, a, b in sections(encoded) if code == _APPLICATION]
    rest = b"".join(bare[a:b] for code, a, b in sections(bare) if code > _APPLICATION)
    return found.get(_PROPERTIES, b"") + application + rest


def _symbol(name: str) -> bytes:
    return b"\xa3" + bytes([len(name)]) + name.encode()


def _value(name: str, value: object) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return b"\xb1" + struct.pack(">I", len(text)) + text
    assert isinstance(value, int)
    if name.endswith(("-time", "-until")):
        return b"\x83" + struct.pack(">q", value)
    if name.endswith("-state"):
        return b"\x71" + struct.pack(">i", value)
    return b"\x81" + struct.pack(">q", value)
