"""Conditions on what is inside a payload or the headers."""

from collections.abc import Callable
from typing import Any, Final

from eventhub.query.numbers import as_number
from eventhub.query.reading import MISSING, Reading
from eventhub.query.tree import Match
from eventhub.query.values import Leaf, ValueTest, value_test

__all__ = ["document_test", "header_test", "must_contain"]

_LITERALS: Final = ("true", "false", "null")


def document_test(node: Leaf, now: int) -> Callable[[Reading], bool]:
    """The condition on `payload.…`. The payload as a whole (`payload:…`) is its JSON value, or
    its text where it is no JSON."""
    test, path = value_test(node, now), node.field[1:]
    needle = must_contain(node)
    if needle is None:
        return lambda reading: _found(reading.document, path, test)

    def search(reading: Reading) -> bool:
        payload = reading.event.payload
        return (needle in payload or b"\\" in payload) and _found(reading.document, path, test)

    return search


def header_test(node: Leaf, now: int) -> Callable[[Reading], bool]:
    """The condition on `headers.…`, where a name may itself hold dots, quoted or not."""
    test, path = value_test(node, now), node.field[1:]
    names = {".".join(path[:length]): path[length:] for length in range(1, len(path) + 1)}
    return lambda reading: any(
        _found(value, names[name], test) for name, value in reading.headers if name in names
    )


def must_contain(node: Leaf) -> bytes | None:
    """UTF-8 that is in every payload which `node` matches, or the payload has a backslash; None
    where nothing can be said (5 may be written 5.0)."""
    path = node.field[1:]
    if not path:
        return None
    if isinstance(node, Match) and as_number(node.value) is None and node.value not in _LITERALS:
        return (node.value or max(path, key=len)).encode()
    return max(path, key=len).encode()


def _found(document: Any, path: tuple[str, ...], test: ValueTest) -> bool:
    """Whether any value at `path` passes. Lists stand for each of their elements.

    Without recursion: a payload may be nested as deeply as its decoder lets it.
    """
    if document is MISSING:
        return False
    pending = [(document, 0)]
    end = len(path)
    while pending:
        value, depth = pending.pop()
        if type(value) is list:
            pending.extend((element, depth) for element in value)
        elif depth == end:
            if test(value):
                return True
        elif type(value) is dict and path[depth] in value:
            pending.append((value[path[depth]], depth + 1))
    return False
