"""Syntax tree back to text, for adding a filter by a click to what a person has typed."""

import re
from typing import Final

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

__all__ = ["to_text"]

_PLAIN_SEGMENT: Final = re.compile(r"(?!-)[^\s()\[\]{}\":.\\]+")
_PLAIN_VALUE: Final = re.compile(r"(?![<>])(?!(?:AND|OR|NOT|TO)\Z)[^\s()\[\]{}\"\\*]+")
_SPECIAL: Final = re.compile(r"[\s()\[\]{}\":\\*<>=-]")


def to_text(node: Node) -> str:
    """Text that `parse` reads as an equal tree; empty for `Everything`."""
    return "" if isinstance(node, Everything) else _write(node)


def _write(node: Node) -> str:
    match node:
        case Everything():
            return "*"
        case And(parts):
            return " ".join(_inside(part) for part in parts)
        case Or(parts):
            return " OR ".join(_inside(part) for part in parts)
        case Not(part):
            return f"NOT {_inside(part)}"
        case Words():
            return _quote(node.text) if node.phrase else _free_word(node.text)
        case Is(state):
            return f"is:{state}"
    return f"{_field(node.field)}:{_operand(node)}"


def _inside(node: Node) -> str:
    return f"({_write(node)})" if isinstance(node, And | Or) else _write(node)


def _operand(node: Match | Like | Compare | Range | Exists) -> str:
    match node:
        case Match(_, value):
            return _value(value)
        case Like(_, parts):
            return "*".join(map(_escape, parts))
        case Compare(_, operator, value):
            return operator + _value(value)
        case Exists():
            return "*"
    start, end = "{["[node.includes_low], "}]"[node.includes_high]
    low, high = ("*" if text is None else _value(text) for text in (node.low, node.high))
    return f"{start}{low} TO {high}{end}"


def _field(path: tuple[str, ...]) -> str:
    return ".".join(part if _PLAIN_SEGMENT.fullmatch(part) else _quote(part) for part in path)


def _value(text: str) -> str:
    return text if _PLAIN_VALUE.fullmatch(text) else _quote(text)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _free_word(text: str) -> str:
    written = "*".join(map(_escape, text.split("*")))
    return f"\\{written}" if written in ("AND", "OR", "NOT") else written


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
