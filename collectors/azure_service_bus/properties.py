"""Application properties with their AMQP types.

The SDK's decoder gives texts as bytes, timestamps as numbers and wrong decimals, so that a replay
would not be the original. We read the section ourselves, from the bytes that the SDK hands on.
What `HeaderValue` cannot tell apart (a `long` that would fit an `int`, a `uuid`…) is named in
`kinds`, by which `write` puts it back. Encodings: part 1 of the AMQP 1.0 specification.
"""

import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

from azure.servicebus._pyamqp._decode import _DECODE_BY_CONSTRUCTOR

from eventhub.events.headers import Header, HeaderValue

__all__ = ["Unwritable", "read", "write"]

_SECTION: Final = 0x74
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT: Final = range(-(2**31), 2**31)
_LONG: Final = range(-(2**63), 2**63)
_RANGES: Final = {
    "ubyte": range(2**8), "ushort": range(2**16), "uint": range(2**32), "ulong": range(2**64),
    "byte": range(-(2**7), 2**7), "short": range(-(2**15), 2**15), "int": _INT, "long": _LONG,
}  # fmt: skip
_DECIMAL_BIAS: Final = 6176
_DECIMAL_DIGITS: Final = Context(prec=34)


class Unwritable(Exception):
    """A header that Service Bus cannot carry; `str()` says why."""


def _number(kind: str, layout: str) -> tuple[str, int, Callable[[Any], Any]]:
    size = struct.calcsize(layout)
    unpack = struct.Struct(layout).unpack
    return kind, size, lambda raw: unpack(raw)[0]


def _timestamp(raw: bytes) -> HeaderValue:
    milliseconds: int = struct.unpack(">q", raw)[0]
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return milliseconds


def _decimal(raw: bytes) -> HeaderValue:
    """IEEE 754-2008 decimal128 with a binary significand; NaN and infinities become bytes."""
    bits = int.from_bytes(raw, "big")
    if (bits >> 125) & 0b11 == 0b11:
        return bytes(raw)
    exponent = ((bits >> 113) & 0x3FFF) - _DECIMAL_BIAS
    digits = tuple(int(digit) for digit in str(bits & ((1 << 113) - 1)))
    return Decimal((bits >> 127, digits, exponent))


_FIXED: Final[dict[int, tuple[str, int, Callable[[Any], Any]]]] = {
    0x40: ("null", 0, lambda _: None),
    0x41: ("bool", 0, lambda _: True),
    0x42: ("bool", 0, lambda _: False),
    0x43: ("uint", 0, lambda _: 0),
    0x44: ("ulong", 0, lambda _: 0),
    0x50: _number("ubyte", ">B"),
    0x51: _number("byte", ">b"),
    0x52: _number("uint", ">B"),
    0x53: _number("ulong", ">B"),
    0x54: _number("int", ">b"),
    0x55: _number("long", ">b"),
    0x56: ("bool", 1, lambda raw: raw[0] == 1),
    0x60: _number("ushort", ">H"),
    0x61: _number("short", ">h"),
    0x70: _number("uint", ">I"),
    0x71: _number("int", ">i"),
    0x72: _number("float", ">f"),
    0x73: ("char", 4, lambda raw: bytes(raw).decode("utf-32-be", "replace")),
    0x80: _number("ulong", ">Q"),
    0x81: _number("long", ">q"),
    0x82: _number("double", ">d"),
    0x83: ("timestamp", 8, _timestamp),
    0x94: ("decimal128", 16, _decimal),
    0x98: ("uuid", 16, lambda raw: str(uuid.UUID(bytes=bytes(raw)))),
}
# A message with a value that the SDK's decoder does not know (a char), or takes for malformed (most
# decimals), shuts its receiver without a word, and so would every redelivery. So it learns them.
for _code in (0x73, 0x94):
    _, _size, _decode = _FIXED[_code]
    _DECODE_BY_CONSTRUCTOR[_code] = lambda raw, _depth=0, size=_size, decode=_decode: (
        raw[size:],
        decode(raw[:size]),
    )
_VARIABLE: Final = {
    0xA0: ("binary", 1), 0xA1: ("string", 1), 0xA3: ("symbol", 1),
    0xB0: ("binary", 4), 0xB1: ("string", 4), 0xB3: ("symbol", 4),
}  # fmt: skip


def read(raw: memoryview) -> tuple[list[Header], dict[str, HeaderValue]] | None:
    """The application properties of an encoded message, and the kinds of those that need it.

    None where the section does not lie in `raw` as a whole, or holds what simple types do not.
    """
    try:
        section = _find(raw)
        return _read_map(section, 0) if section else ([], {})
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        return None


def _find(raw: memoryview) -> bytes:
    """The map of the section; empty where there is none. Raises IndexError where it is cut off."""
    at = 0
    while at < len(raw):
        code, constructor = raw[at + 2], raw[at + 3]
        if constructor == 0x45:
            end = at + 4
        elif constructor >= 0xD0:
            end = at + 8 + int.from_bytes(raw[at + 4 : at + 8], "big")
        else:
            end = at + 5 + raw[at + 4]
        if code == _SECTION:
            if end > len(raw):
                raise IndexError
            return bytes(raw[at + 3 : end])
        if code > _SECTION:
            return b""
        at = end
    return b""


def _read_map(raw: bytes, at: int) -> tuple[list[Header], dict[str, HeaderValue]]:
    wide = raw[at] == 0xD1
    count = int.from_bytes(raw[at + 5 : at + 9], "big") if wide else raw[at + 2]
    at += 9 if wide else 3
    headers: list[Header] = []
    kinds: dict[str, HeaderValue] = {}
    for _ in range(count // 2):
        at, _kind, name = _read_value(raw, at)
        at, kind, value = _read_value(raw, at)
        headers.append((name, value))
        if kind != _natural(value):
            kinds[name] = kind
    return headers, kinds


def _read_value(raw: bytes, at: int) -> tuple[int, str, Any]:
    code = raw[at]
    at += 1
    if code in _FIXED:
        kind, size, decode = _FIXED[code]
        if at + size > len(raw):
            raise IndexError
        return at + size, kind, decode(raw[at : at + size])
    if code == 0:  # described: Service Bus has timespan, uri and datetime-offset so
        at, _, descriptor = _read_value(raw, at)
        at, kind, value = _read_value(raw, at)
        return at, f"{descriptor} {kind}", value
    kind, width = _VARIABLE[code]
    start = at + width
    end = start + int.from_bytes(raw[at:start], "big")
    if end > len(raw):
        raise IndexError
    content = raw[start:end]
    return end, kind, content if kind == "binary" else content.decode()


def _natural(value: HeaderValue) -> str:
    """The type that `write` chooses when nothing else is said."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if value in _INT else "long"
    return _NATURAL[type(value)]


_NATURAL: Final[dict[type, str]] = {
    type(None): "null", bool: "bool", float: "double", str: "string", bytes: "binary",
    datetime: "timestamp", Decimal: "decimal128",
}  # fmt: skip


def write(headers: Sequence[Header], kinds: Mapping[str, HeaderValue]) -> dict[str, Any]:
    """Application properties as the SDK encodes them with the type that is wanted.

    Raises Unwritable.
    """
    written: dict[str, Any] = {}
    for name, value in headers:
        if name in written:
            raise Unwritable(f"it carries each property once, and {name!r} is there twice")
        if isinstance(value, list | dict):
            raise Unwritable(f"properties are single values, and {name!r} is a list or a table")
        kind = kinds.get(name)
        written[name] = _typed(name, value, kind if isinstance(kind, str) else _natural(value))
    return written


def _typed(name: str, value: Any, kind: str) -> Any:
    descriptor, _, inner = kind.rpartition(" ")
    if descriptor:
        described = ({"TYPE": "SYMBOL", "VALUE": descriptor}, _typed(name, value, inner))
        return {"TYPE": "DESCRIBED", "VALUE": described}
    if isinstance(value, int) and not isinstance(value, bool):
        # Another value than the one that came may stand here by now: a person edited it.
        kind = kind if value in _RANGES.get(kind, ()) else _natural(value)
        if value not in _RANGES[kind]:
            raise Unwritable(f"{name!r} has more than 64 bits")
    elif isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        value, kind = (aware - _EPOCH) // timedelta(milliseconds=1), "timestamp"
    elif isinstance(value, Decimal):
        if not value.is_finite() or _DECIMAL_DIGITS.create_decimal(value) != value:
            raise Unwritable(f"{name!r} has more than 34 digits, or is no number")
        kind = "decimal128"
    elif isinstance(value, str) and kind == "uuid" and not _is_uuid(value):
        kind = "string"
    elif not (isinstance(value, str) and kind in ("symbol", "uuid")):
        kind = kind if isinstance(value, float) and kind == "float" else _natural(value)
    return {"TYPE": kind.upper(), "VALUE": value}


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
