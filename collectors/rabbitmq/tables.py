"""AMQP 0-9-1 field tables, read and written without loss.

pika's own codec reads a double as a whole number, ends the connection on a NaN or on a date after
the year 9999, cannot write a real number, and keeps one of two headers with the same name. A
message like that must neither stop an observer nor change in a replay.
Types as RabbitMQ reads them: https://www.rabbitmq.com/docs/amqp-0-9-1-errata#section_3
"""

import math
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from eventhub.events.headers import Header, HeaderValue
from eventhub.events.text import text_or_bytes

__all__ = ["Unwritable", "read_list", "read_shallow", "read_table", "write_table"]

_MAX_DEPTH: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH: Final = struct.Struct(">I")
_FIXED: Final = {
    ord(tag): struct.Struct(layout)
    for tag, layout in {
        "t": ">?", "b": ">b", "B": ">B", "s": ">h", "U": ">h", "u": ">H", "I": ">i", "i": ">I",
        "l": ">q", "L": ">q", "f": ">f", "d": ">d",
    }.items()
}  # fmt: skip


class Unwritable(ValueError):
    """A header value that AMQP 0-9-1 cannot carry; `str()` names it."""


def read_table(raw: bytes) -> list[Header]:
    """Name and value of each field, in order. Raises ValueError for bytes that are no table."""
    return _table(raw, 0)


def read_shallow(raw: bytes) -> list[tuple[str, Any]]:
    """As `read_table`, but tables and lists inside stay bytes, for `read_table` and `read_list`:
    so repeated names in them are kept. Raises ValueError."""
    return _table(raw, _MAX_DEPTH)


def read_list(raw: bytes) -> list[HeaderValue]:
    """The values of a list, in order. Raises ValueError."""
    try:
        return _items(raw, 0, len(raw), 0)
    except (struct.error, IndexError) as problem:
        raise ValueError(f"not an AMQP list: {problem}") from problem


def write_table(headers: Iterable[Header]) -> bytes:
    """The table with its length. Whole numbers take 32 or 64 bits, whatever they had before."""
    fields = b"".join(_short(name) + _write(name, value) for name, value in headers)
    return _LENGTH.pack(len(fields)) + fields


def _table(raw: bytes, depth: int) -> list[Header]:
    try:
        return _fields(raw, 0, len(raw), depth)
    except (struct.error, IndexError) as problem:
        raise ValueError(f"not an AMQP table: {problem}") from problem


def _items(raw: bytes, at: int, end: int, depth: int) -> list[HeaderValue]:
    items: list[HeaderValue] = []
    while at < end:
        item, at = _read(raw, at, depth)
        items.append(item)
    return items


def _fields(raw: bytes, at: int, end: int, depth: int) -> list[Header]:
    fields: list[Header] = []
    while at < end:
        stop = at + 1 + raw[at]
        name = raw[at + 1 : stop].decode("utf-8", "backslashreplace")
        value, at = _read(raw, stop, depth)
        fields.append((name, value))
    return fields


def _read(raw: bytes, at: int, depth: int) -> tuple[HeaderValue, int]:
    tag = raw[at]
    at += 1
    fixed = _FIXED.get(tag)
    if fixed is not None:
        return fixed.unpack_from(raw, at)[0], at + fixed.size
    match chr(tag):
        case "V":
            return None, at
        case "T":
            return _time(int.from_bytes(raw[at : at + 8], "big")), at + 8
        case "D":
            (unscaled,) = _FIXED[ord("I")].unpack_from(raw, at + 1)
            return Decimal(unscaled).scaleb(-raw[at]), at + 5
    (size,) = _LENGTH.unpack_from(raw, at)
    at += 4
    end = at + size
    if end > len(raw):
        raise ValueError("a field is longer than its table")
    match chr(tag):
        case "S":
            return text_or_bytes(raw[at:end]), end
        case "x":
            return raw[at:end], end
        case "A" | "F" if depth >= _MAX_DEPTH:
            return raw[at:end], end
        case "A":
            return _items(raw, at, end, depth + 1), end
        case "F":
            return dict(_fields(raw, at, end, depth + 1)), end
    raise ValueError(f"unknown field type {tag:#x}")


def _time(seconds: int) -> datetime | int:
    """A date where there is one; producers that mean milliseconds reach the year 50000."""
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return seconds


def _short(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > 255:
        raise Unwritable(f"the header name {text[:40]!r}… has more than 255 bytes")
    return bytes([len(raw)]) + raw


def _write(name: str, value: HeaderValue) -> bytes:
    if value is None:
        return b"V"
    if isinstance(value, bool):
        return b"t" + bytes([value])
    if isinstance(value, int):
        return _write_whole(name, value)
    if isinstance(value, float):
        if not math.isfinite(value):
            # RabbitMQ reads headers to route by them, knows no such number, and hangs up.
            raise Unwritable(f"the header {name!r} is {value}")
        return struct.pack(">cd", b"d", value)
    if isinstance(value, str):
        return _sized(b"S", value.encode("utf-8", "surrogateescape"))
    if isinstance(value, bytes):
        return _sized(b"x", value)
    if isinstance(value, Decimal):
        return _write_decimal(name, value)
    if isinstance(value, datetime):
        return struct.pack(">cQ", b"T", max(int((value - _EPOCH).total_seconds()), 0))
    if isinstance(value, list):
        return _sized(b"A", b"".join(_write(name, item) for item in value))
    return b"F" + write_table(value.items())


def _sized(tag: bytes, raw: bytes) -> bytes:
    return tag + _LENGTH.pack(len(raw)) + raw


def _write_whole(name: str, value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return struct.pack(">ci", b"I", value)
    if -(2**63) <= value < 2**63:
        return struct.pack(">cq", b"l", value)
    raise Unwritable(f"the header {name!r} is a whole number of more than 64 bits")


def _write_decimal(name: str, value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if isinstance(exponent, int) and len(digits) <= 10 and -255 <= exponent <= 10:
        unscaled = int("".join(map(str, digits))) * 10 ** max(exponent, 0) * (-1 if sign else 1)
        if -(2**31) <= unscaled < 2**31:
            return struct.pack(">cBi", b"D", max(-exponent, 0), unscaled)
    raise Unwritable(f"the header {name!r} is a decimal number of more than 32 bits")
