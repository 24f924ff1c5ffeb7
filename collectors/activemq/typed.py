"""AMQP 1.0 values with what writing them anew would lose: the type that they had on the wire."""

from typing import Any, Final

from collectors.activemq.values import LIST_HEADS, MAP_HEADS, READERS, TYPES, inside, read

__all__ = ["read_map", "read_typed"]

_MAX_DEPTH: Final = 40
_PLAIN: Final = frozenset({"null", "boolean", "long", "double", "string", "binary"})
_NESTED: Final = frozenset({"described", "list", "map", "array"})
_HINTS: Final[list[str | None]] = [
    None if name is None or name in _PLAIN else name
    for name in (TYPES[code][0] if code in TYPES else None for code in range(256))
]


def read_typed(raw: bytes, at: int) -> tuple[Any, int, str | bytes | None]:
    """As `read`, and what writing the value anew would lose: the name of its type, or all of its
    bytes where the loss is inside; None where nothing is lost."""
    code = raw[at]
    value, end = READERS[code](raw, at + 1)
    hint = _HINTS[code]
    if hint is None:
        return value, end, None
    if hint in _NESTED:
        return value, end, None if _plain(raw, at)[0] else raw[at:end]
    if hint == "timestamp":
        return value, end, hint if isinstance(value, int) else None
    return value, end, hint


def _plain(raw: bytes, at: int, depth: int = 0) -> tuple[bool, int]:
    """Whether Python's own types say all of a value's, and where it ends."""
    code = raw[at]
    value, end = read(raw, at)
    name = TYPES[code][0]
    if name not in ("list", "map"):
        odd = isinstance(value, int) if name == "timestamp" else _HINTS[code] is not None
        return not odd, end
    inner, _ = inside(raw, at, LIST_HEADS | MAP_HEADS)
    keys, places, plain = set[Any](), 0, depth < _MAX_DEPTH
    while inner < end and plain:
        if name == "map" and places % 2 == 0:
            key, inner = read(raw, inner)
            plain = isinstance(key, str) and key not in keys
            keys.add(key)
        else:
            plain, inner = _plain(raw, inner, depth + 1)
        places += 1
    return plain, end


def read_map(raw: bytes, at: int) -> tuple[list[tuple[str, Any, str | bytes | None]], int]:
    """A map's entries: key as a text, value, and what `read_typed` says of it."""
    start, end = inside(raw, at, MAP_HEADS)
    found: list[tuple[str, Any, str | bytes | None]] = []
    while start < end:
        key, start = READERS[raw[start]](raw, start + 1)
        code = raw[start]
        hint: str | bytes | None = None
        if _HINTS[code] is None:
            value, start = READERS[code](raw, start + 1)
        else:
            value, start, hint = read_typed(raw, start)
        found.append((key if type(key) is str else str(key), value, hint))
    return found, end
