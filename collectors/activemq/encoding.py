"""AMQP 1.0 values into their bytes: the inverse of `collectors.activemq.values`."""

import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from collectors.activemq.values import EPOCH, Unreadable, read
from eventhub.events.headers import HeaderValue

__all__ = ["Unwritable", "write", "write_list", "write_map", "write_symbol", "write_typed"]


class Unwritable(ValueError):
    """AMQP cannot carry this value; `str()` says why."""


def write(value: HeaderValue) -> bytes:
    """The value in the type that Python's own says. Raises Unwritable."""
    if value is None:
        return b"\x40"
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise Unwritable(f"{type(value).__name__} is no type of a header")
    return writer(value)


def write_symbol(text: str) -> bytes:
    try:
        return _sized(b"\xa3", b"\xb3", text.encode("ascii"))
    except UnicodeEncodeError as problem:
        raise Unwritable(f"{text!r} is not ASCII, as a symbol must be") from problem


def write_list(items: list[bytes]) -> bytes:
    """A list of what is written already."""
    return _compound(0xC0, 0xD0, len(items), b"".join(items)) if items else b"\x45"


def write_map(items: list[bytes]) -> bytes:
    """A map of what is written already: key, value, key, value…"""
    return _compound(0xC1, 0xD1, len(items), b"".join(items))


def write_typed(value: HeaderValue, hint: str | bytes) -> bytes:
    """The inverse of `read_typed`. A value that no longer is what came is written plainly."""
    if isinstance(hint, bytes):
        try:
            unchanged = read(hint, 0) == (value, len(hint))
        except Unreadable:
            unchanged = False
        return hint if unchanged else write(value)
    writer = _TYPED.get(hint)
    if writer is None:
        return write(value)
    try:
        return writer(value)
    except (struct.error, TypeError, ValueError, AttributeError):
        return write(value)


def _sized(short: bytes, long: bytes, raw: bytes) -> bytes:
    size = len(raw)
    return short + bytes((size,)) + raw if size < 256 else long + size.to_bytes(4, "big") + raw


def _compound(short: int, long: int, count: int, body: bytes) -> bytes:
    if len(body) < 254 and count < 256:
        return bytes((short, len(body) + 1, count)) + body
    return bytes((long,)) + struct.pack(">II", len(body) + 4, count) + body


def _text(text: str) -> bytes:
    return _sized(b"\xa1", b"\xb1", text.encode("utf-8", "surrogateescape"))


def _whole(number: int) -> bytes:
    if -128 <= number < 128:
        return b"\x55" + number.to_bytes(1, "big", signed=True)
    if -(2**63) <= number < 2**63:
        return b"\x81" + number.to_bytes(8, "big", signed=True)
    if 0 <= number < 2**64:
        return b"\x80" + number.to_bytes(8, "big")
    raise Unwritable(f"{number} has more than 64 bits")


def _time(moment: datetime) -> bytes:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return b"\x83" + struct.pack(">q", (aware - EPOCH) // timedelta(milliseconds=1))


def _list(items: list[HeaderValue]) -> bytes:
    return write_list([write(item) for item in items])


def _table(table: dict[str, HeaderValue]) -> bytes:
    return write_map([part for key, value in table.items() for part in (_text(key), write(value))])


_WRITERS: Final[dict[type, Callable[[Any], bytes]]] = {
    bool: lambda value: b"\x41" if value else b"\x42",
    int: _whole,
    float: lambda value: b"\x82" + struct.pack(">d", value),
    str: _text,
    bytes: lambda value: _sized(b"\xa0", b"\xb0", value),
    datetime: _time,
    Decimal: lambda value: _text(str(value)),
    list: _list,
    dict: _table,
}


def _packed(code: bytes, layout: str) -> Callable[[Any], bytes]:
    return lambda value: code + struct.pack(layout, value)


def _exact(code: bytes, size: int) -> Callable[[Any], bytes]:
    def put(value: bytes) -> bytes:
        if type(value) is not bytes or len(value) != size:
            raise ValueError
        return code + value

    return put


_TYPED: Final[dict[str, Callable[[Any], bytes]]] = {
    "ubyte": _packed(b"\x50", ">B"),
    "ushort": _packed(b"\x60", ">H"),
    "uint": _packed(b"\x70", ">I"),
    "ulong": _packed(b"\x80", ">Q"),
    "byte": _packed(b"\x51", ">b"),
    "short": _packed(b"\x61", ">h"),
    "int": _packed(b"\x71", ">i"),
    "float": _packed(b"\x72", ">f"),
    "timestamp": _packed(b"\x83", ">q"),
    "decimal32": _exact(b"\x74", 4),
    "decimal64": _exact(b"\x84", 8),
    "decimal128": _exact(b"\x94", 16),
    "char": lambda value: b"\x73" + ord(value).to_bytes(4, "big"),
    "symbol": write_symbol,
    "uuid": lambda value: b"\x98" + uuid.UUID(value).bytes,
}
