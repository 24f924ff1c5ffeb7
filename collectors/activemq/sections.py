"""The sections of an AMQP 1.0 message: taken apart, and put together again."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from collectors.activemq.encoding import (
    Unwritable,
    write,
    write_list,
    write_map,
    write_symbol,
    write_typed,
)
from collectors.activemq.typed import read_map
from collectors.activemq.values import Unreadable, read, read_list, skip, type_name
from eventhub.events.headers import Header, HeaderValue

__all__ = [
    "Found", "after_header", "annotations", "application", "body", "header", "properties", "split",
]  # fmt: skip

# The code that describes a section is a small ulong: 0x00 0x53 and one of these.
_HEADER, _DELIVERY_NOTES, _NOTES, _PROPERTIES, _APPLICATION = 0x70, 0x71, 0x72, 0x73, 0x74
_DATA, _SEQUENCE, _VALUE, _FOOTER = 0x75, 0x76, 0x77, 0x78
_SYMBOLS: Final = {
    b"amqp:header:list": _HEADER,
    b"amqp:delivery-annotations:map": _DELIVERY_NOTES,
    b"amqp:message-annotations:map": _NOTES,
    b"amqp:properties:list": _PROPERTIES,
    b"amqp:application-properties:map": _APPLICATION,
    b"amqp:data:binary": _DATA,
    b"amqp:amqp-sequence:list": _SEQUENCE,
    b"amqp:amqp-value:*": _VALUE,
    b"amqp:footer:map": _FOOTER,
}
# In their order in the list, each with the type that the specification gives it ("*": several).
_FIELDS: Final = (
    ("message-id", "*"), ("user-id", "binary"), ("to", "string"), ("subject", "string"),
    ("reply-to", "string"), ("correlation-id", "*"), ("content-type", "symbol"),
    ("content-encoding", "symbol"), ("absolute-expiry", "timestamp"),
    ("creation-time", "timestamp"), ("group-id", "string"), ("group-sequence", "uint"),
    ("reply-to-group-id", "string"),
)  # fmt: skip
_NAMES: Final = tuple(name for name, _ in _FIELDS)
_ID_PLACES: Final = frozenset(place for place, (_, kind) in enumerate(_FIELDS) if kind == "*")
_PYTHON: Final = {"string": str, "binary": bytes, "uint": int}
_BINARY: Final = (0xA0, 0xB0)
_STRING: Final = (0xA1, 0xB1)


class Found(msgspec.Struct):
    """What a message is made of."""

    properties: dict[str, Any] = {}
    headers: list[Header] = []
    """The application properties."""
    annotations: list[tuple[str, Any, str | bytes | None]] = []
    types: dict[str, HeaderValue] = {}
    """Types that a value's own does not tell: by header, or by property's name."""
    durable: bool = False
    priority: int = 4
    ttl: int | None = None
    delivery_count: int = 0
    payload: bytes = b""
    body: str = ""
    """"string" or "binary" for one such value, "sections" for any other body that is no data."""
    shown: HeaderValue = None


def split(raw: bytes) -> Found:
    """Take a message apart. Raises Unreadable."""
    found = Found()
    bodies: list[tuple[int, int, int]] = []
    at, end = 0, len(raw)
    start = end
    try:
        while at < end:
            code, inner = _section(raw, at)
            if code < _DATA:
                at = _prelude(found, code, raw, inner)
            elif code == _FOOTER:
                break
            else:
                start = min(start, at)
                stop = skip(raw, inner)
                bodies.append((code, inner, stop))
                at = stop
    except (IndexError, struct.error, RecursionError) as problem:
        raise Unreadable("a section is cut off, or nested too deep") from problem
    if at > end:
        raise Unreadable("a section ends after its message")
    _body(found, raw, start, bodies)
    return found


def _section(raw: bytes, at: int) -> tuple[int, int]:
    """A section's code, and where its value begins."""
    if raw[at] == 0 and raw[at + 1] == 0x53:
        code = raw[at + 2]
        if _HEADER <= code <= _FOOTER:
            return code, at + 3
    if raw[at] == 0:
        described, inner = read(raw, at + 1)
        code = described if isinstance(described, int) else _SYMBOLS.get(
            str(described).encode(), 0
        )  # fmt: skip
        if _HEADER <= code <= _FOOTER:
            return code, inner
    raise Unreadable("there is something else than a section")


def _prelude(found: Found, code: int, raw: bytes, at: int) -> int:
    """One of the sections before the body; returns where it ends."""
    if code == _PROPERTIES:
        items, at = read_list(raw, at)
        for place, value, kind in items:
            if place < len(_NAMES):
                found.properties[_NAMES[place]] = value
                if place in _ID_PLACES and kind not in _STRING:
                    found.types[_NAMES[place]] = type_name(kind)
    elif code == _APPLICATION:
        entries, at = read_map(raw, at)
        for name, value, hint in entries:
            found.headers.append((name, value))
            if hint is not None:
                if isinstance(hint, str):
                    found.types[name] = hint
                else:
                    found.headers.append((f"amqp.raw.{name}", hint))
    elif code == _NOTES:
        found.annotations, at = read_map(raw, at)
    elif code == _HEADER:
        items, at = read_list(raw, at)
        for place, value, _ in items:
            if place == 0:
                found.durable = bool(value)
            elif place == 1:
                found.priority = value
            elif place == 2:
                found.ttl = value
            elif place == 4:
                found.delivery_count = value
    else:
        at = skip(raw, at)
    return at


def _body(found: Found, raw: bytes, start: int, bodies: Sequence[tuple[int, int, int]]) -> None:
    if len(bodies) == 1:
        code, inner, stop = bodies[0]
        kind = raw[inner]
        if kind in _BINARY:
            found.payload = raw[inner + (2 if kind == 0xA0 else 5) : stop]
            found.body = "" if code == _DATA else "binary"
            return
        if code == _VALUE and kind in _STRING:
            found.payload = raw[inner + (2 if kind == 0xA1 else 5) : stop]
            found.body = "string"
            return
    elif not bodies:
        return
    found.payload = raw[start : bodies[-1][2]]
    found.body = "sections"
    shown = [read(raw, inner)[0] for _, inner, _ in bodies]
    found.shown = shown[0] if len(shown) == 1 else shown


def header(kept: Mapping[str, HeaderValue]) -> bytes:
    """Persistent unless it was not: what EventHub publishes should survive a restart."""
    priority, ttl = kept.get("amqp.priority"), kept.get("amqp.ttl")
    items = [write(kept.get("amqp.durable") is not False)]
    has_priority = isinstance(priority, int) and 0 <= priority <= 255
    has_ttl = isinstance(ttl, int) and 0 < ttl < 2**32
    if has_priority or has_ttl:
        items.append(write_typed(priority, "ubyte") if has_priority else b"\x40")
    if has_ttl:
        items.append(write_typed(ttl, "uint"))
    return b"\x00\x53\x70" + write_list(items)


def annotations(kept: Mapping[str, HeaderValue], hints: Mapping[str, HeaderValue]) -> bytes:
    items: list[bytes] = []
    for name, value in kept.items():
        if name.startswith("amqp.annotation."):
            own = name.removeprefix("amqp.annotation.")
            items += (write_symbol(own), _typed(name, value, kept, hints))
    return b"\x00\x53\x72" + write_map(items) if items else b""


def properties(values: Mapping[str, Any], hints: Mapping[str, HeaderValue]) -> bytes:
    items: list[bytes] = []
    for name, kind in _FIELDS:
        value = values.get(name)
        if value is None:
            items.append(b"\x40")
        elif kind == "symbol":
            items.append(write_symbol(value))
        elif kind == "*":
            items.append(_id(value, hints.get(name)))
        elif kind in _PYTHON and not isinstance(value, _PYTHON[kind]):
            raise Unwritable(f"amqp.{name} is no {kind}")
        else:
            items.append(write_typed(value, kind))
    while items and items[-1] == b"\x40":
        items.pop()
    return b"\x00\x53\x73" + write_list(items)


def _id(value: str, hint: HeaderValue) -> bytes:
    try:
        if hint == "ulong":
            return write_typed(int(value), "ulong")
        if hint == "binary":
            return write(bytes.fromhex(value))
    except ValueError:
        return write(value)
    return write_typed(value, "uuid") if hint == "uuid" else write(value)


def application(
    own: Sequence[Header], kept: Mapping[str, HeaderValue], hints: Mapping[str, HeaderValue]
) -> bytes:
    items: list[bytes] = []
    for name, value in dict(own).items():
        items += (write(name), _typed(name, value, kept, hints))
    return b"\x00\x53\x74" + write_map(items) if items else b""


def _typed(
    name: str,
    value: HeaderValue,
    kept: Mapping[str, HeaderValue],
    hints: Mapping[str, HeaderValue],
) -> bytes:
    raw = kept.get(f"amqp.raw.{name}")
    hint = raw if isinstance(raw, bytes) else hints.get(name)
    return write_typed(value, hint) if isinstance(hint, str | bytes) else write(value)


def body(payload: bytes, kind: HeaderValue) -> bytes:
    if kind == "string":
        try:
            return b"\x00\x53\x77" + write(payload.decode())
        except UnicodeDecodeError as problem:
            raise Unwritable("the payload is no text, and its amqp.body is one") from problem
    if kind == "binary":
        return b"\x00\x53\x77" + write(payload)
    if kind == "sections":
        try:
            if split(payload).body == "sections":
                return payload
        except Unreadable as problem:
            raise Unwritable(f"the payload is no body of AMQP's: {problem}") from problem
        raise Unwritable("the payload is no body of AMQP's sections")
    return b"\x00\x53\x75" + write(payload)


def after_header(raw: bytes) -> bytes:
    """The message without its header section; all of it where that cannot be read."""
    try:
        code, inner = _section(raw, 0)
        return raw[skip(raw, inner) :] if code == _HEADER else raw
    except (Unreadable, IndexError):
        return raw
