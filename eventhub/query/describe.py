"""Syntax tree to plain words: "events of type OrderPlaced with payload.amount over 900"."""

import re
from itertools import pairwise
from typing import Final

from eventhub.query.fields import FIELDS, Kind
from eventhub.query.tree import (
    And,
    Compare,
    Everything,
    Exists,
    Is,
    Like,
    Match,
    Node,
    Not,
    Or,
    Range,
    Words,
)

__all__ = ["describe"]

_INTRODUCTIONS: Final = {
    "type": "of type",
    "source": "from source",
    "destination": "on",
    "key": "with key",
    "correlation": "with correlation id",
    "message_id": "with message id",
    "content_type": "with content type",
    "content_encoding": "with content encoding",
    "position": "at position",
    "time": "observed",
    "event_time": "with event time",
    "broker_time": "with broker time",
    "size": "with size",
    "id": "with id",
}
_STATES: Final = {
    "redelivered": "redelivered by the broker",
    "truncated": "with a truncated payload",
    "binary": "with a binary payload",
}
_BOUNDS: Final = {">": "over", ">=": "at least", "<": "under", "<=": "at most"}
_TIME_BOUNDS: Final = {">": "after", ">=": "from", "<": "before", "<=": "up to"}
_UNITS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
_AGO: Final = re.compile(r"now-([0-9]+)([smhdw])")


def describe(node: Node) -> str:
    """What a query asks for: the end of a sentence that begins with "Showing"."""
    return "all events" if isinstance(node, Everything) else f"events {_phrase(node)}"


def _phrase(node: Node) -> str:
    match node:
        case Everything():
            return "of any kind"
        case And(parts):
            return _together([_inside(part) for part in parts])
        case Or(parts):
            return _either(parts)
        case Not(Exists(field)):
            return f"without {_name(field)}"
        case Not(part):
            return f"not {_inside(part)}"
        case Words(text):
            return f"containing “{text}”"
        case Is(state):
            return _STATES[state]
        case Exists(field):
            return f"with any {_name(field)}"
    return f"{_introduction(node.field)} {_condition(node)}"


def _inside(node: Node) -> str:
    return f"({_phrase(node)})" if isinstance(node, And | Or) else _phrase(node)


def _together(phrases: list[str]) -> str:
    """ "of type A with key B", but "with key A and with size B"."""
    text = phrases[0]
    for before, phrase in pairwise(phrases):
        alike = before.split(" ", 1)[0] == phrase.split(" ", 1)[0]
        text += f" and {phrase}" if alike else f" {phrase}"
    return text


def _either(parts: tuple[Node, ...]) -> str:
    fields = {part.field for part in parts if isinstance(part, Match | Like)}
    if len(fields) == 1 and all(isinstance(part, Match | Like) for part in parts):
        (field,) = fields
        conditions = [_condition(part) for part in parts if isinstance(part, Match | Like)]
        return f"{_introduction(field)} {' or '.join(conditions)}"
    return "either " + " or ".join(map(_inside, parts))


def _condition(node: Match | Like | Compare | Range | Exists) -> str:
    is_time = FIELDS[node.field[0]] is Kind.TIME
    match node:
        case Match(_, value):
            return f"at {value}" if node.field == ("time",) else _shown(value)
        case Like(_, parts):
            return _shown("*".join(parts))
        case Compare(_, operator, value):
            if is_time and operator in (">", ">=") and _AGO.fullmatch(value):
                return _last(value)
            return f"{(_TIME_BOUNDS if is_time else _BOUNDS)[operator]} {_shown(value)}"
        case Range(_, low, "now") if is_time and low is not None and _AGO.fullmatch(low):
            return _last(low)
        case Range():
            return _range(node, _TIME_BOUNDS if is_time else _BOUNDS)
    return "any"


def _range(node: Range, bounds: dict[str, str]) -> str:
    if node.low is not None and node.high is not None and node.includes_low and node.includes_high:
        return f"from {_shown(node.low)} to {_shown(node.high)}"
    ends = []
    if node.low is not None:
        ends.append(f"{bounds['>=' if node.includes_low else '>']} {_shown(node.low)}")
    if node.high is not None:
        ends.append(f"{bounds['<=' if node.includes_high else '<']} {_shown(node.high)}")
    return " and ".join(ends)


def _last(ago: str) -> str:
    match = _AGO.fullmatch(ago)
    assert match is not None
    count, unit = match[1], _UNITS[match[2]]
    return f"in the last {unit}" if int(count) == 1 else f"in the last {count} {unit}s"


def _introduction(field: tuple[str, ...]) -> str:
    return _INTRODUCTIONS.get(field[0]) or f"with {_name(field)}"


def _name(field: tuple[str, ...]) -> str:
    if field == ("correlation",):
        return "correlation id"
    return ".".join(field) if len(field) > 1 else field[0].replace("_", " ")


def _shown(value: str) -> str:
    return f"“{value}”" if not value or re.search(r"\s", value) else value
