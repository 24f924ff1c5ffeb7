"""From the grammar's rules to the syntax tree, checking what the grammar cannot know."""

import re
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from lark import Token, Transformer, Tree, v_args

from eventhub.events.identity import parse_id
from eventhub.query.errors import QueryError
from eventhub.query.fields import FIELDS, STATES, Kind, field_name, suggestion
from eventhub.query.numbers import as_number
from eventhub.query.times import is_time
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

__all__ = ["TreeBuilder"]

Field: TypeAlias = tuple[str, ...]
Operand: TypeAlias = Callable[[Field], Node]
"""What stands after `field:`, waiting for its field: `field:(a OR b)` gives it to both."""

_SEGMENT: Final = re.compile(r'"((?:\\[\s\S]|[^"\\])*)"|((?:\\[\s\S]|[^.\\])+)')
_MOST_PATTERNS: Final = 8
"""Each is tried on each word of a payload."""
_ASSIGNMENT: Final = re.compile(r"([a-z_-]+)((?:\.[\w.-]+)?)([=<>]+)")
_PIECE: Final = re.compile(r"\\([\s\S])|(\*)|([^\\*]+)")


class TreeBuilder(Transformer[Token, Node]):
    """Called by the parser at every rule it completes, so nothing recurses."""

    def everything(self, _children: list[Node]) -> Node:
        return Everything()

    def any_of(self, parts: list[Node]) -> Node:
        return Or(tuple(parts))

    def all_of(self, parts: list[Node]) -> Node:
        return And(tuple(parts))

    @v_args(inline=True)
    def negation(self, part: Node) -> Node:
        return Not(part)

    @v_args(inline=True)
    def phrase(self, token: Token) -> Node:
        return Words(_unquote(token), phrase=True)

    @v_args(inline=True)
    def word(self, token: Token) -> Node:
        _refuse_equals(token)
        parts = _wildcard_parts(token)
        if not any(parts):
            return Everything()
        if len(parts) == 1:
            return Words(parts[0], phrase="*" in parts[0])
        # A literal star parts words as a space does.
        text = "*".join(part.replace("*", " ") for part in parts)
        if len(re.findall(r"[\w*]+", text)) > _MOST_PATTERNS:
            raise QueryError(
                f"A text with wildcards can have {_MOST_PATTERNS} words at most.", _start(token)
            )
        return Words(text)

    @v_args(inline=True)
    def clause(self, field: Token, operand: Operand) -> Node:
        return operand(_path(field))

    @v_args(inline=True)
    def value(self, token: Token) -> Operand:
        parts = _wildcard_parts(token)
        return lambda field: _match(field, parts, token)

    @v_args(inline=True)
    def quoted_value(self, token: Token) -> Operand:
        return lambda field: _match(field, (_unquote(token),), token)

    @v_args(inline=True)
    def comparison(self, operator: Token, token: Token) -> Operand:
        value = _text(token)

        def build(field: Field) -> Node:
            _check_comparable(field, value, token)
            return Compare(field, str(operator), value)

        return build

    @v_args(inline=True)
    def range(self, span: Tree[Token]) -> Operand:
        start, low, _to, high, end = cast(list[Token], span.children)
        low_text = None if low == "*" else _text(low)
        high_text = None if high == "*" else _text(high)

        def build(field: Field) -> Node:
            for value, token in ((low_text, low), (high_text, high)):
                _check_comparable(field, value, token)
            if low_text is None and high_text is None:
                return Exists(field)
            return Range(field, low_text, high_text, start == "[", end == "]")

        return build

    def any_operand(self, operands: list[Operand]) -> Operand:
        return lambda field: Or(tuple(operand(field) for operand in operands))

    def all_operands(self, operands: list[Operand]) -> Operand:
        return lambda field: And(tuple(operand(field) for operand in operands))

    @v_args(inline=True)
    def negated_operand(self, operand: Operand) -> Operand:
        return lambda field: Not(operand(field))


def _start(token: Token) -> int:
    return token.start_pos or 0


def _refuse_equals(token: Token) -> None:
    """`type=x` would search for words, which is not what it was written for."""
    match = _ASSIGNMENT.match(token)
    if match and field_name(match[1]):
        raise QueryError(
            f"Between a field and its value goes “:”, as in {match[1]}{match[2]}:value.",
            (_start(token)) + match.start(3),
            ("“:”",),
        )


def _path(token: Token) -> Field:
    return _parse_path(token[:-1], _start(token))


def _parse_path(text: str, position: int) -> Field:
    segments = []
    for match in _SEGMENT.finditer(text):
        quoted, bare = match.groups()
        segments.append(_unescape(quoted if quoted is not None else bare))
    written, *rest = segments or [""]
    if written in ("is", "exists") and not rest:
        return (written,)
    name = field_name(written)
    if name is None:
        meant = suggestion(".".join(segments))
        raise QueryError(
            f"There is no field “{written}”. Did you mean {meant}?", position, (meant,)
        )
    if FIELDS[name] is not Kind.TREE and rest:
        raise QueryError(f"The field {name} has no fields of its own.", position, (name,))
    if name == "headers" and not rest:
        raise QueryError("Which header? Write headers.name:value.", position, ("headers.name",))
    return (name, *rest)


def _match(field: Field, parts: tuple[str, ...], token: Token) -> Node:
    start = _start(token)
    if field == ("is",):
        return _state(parts, start)
    if field == ("exists",):
        return Exists(_parse_path(_text(token) if token[0] == '"' else token, start))
    if len(parts) > 1:
        if not any(parts):
            return Exists(field)
        if FIELDS[field[0]] in (Kind.TIME, Kind.NUMBER):
            raise QueryError(f"{field[0]} takes no wildcards: compare it, or give a range.", start)
        return Like(field, parts)
    kind = FIELDS[field[0]]
    if kind is Kind.ID:
        _check_id(parts[0], start)
    elif kind in (Kind.TIME, Kind.NUMBER):
        _check_comparable(field, parts[0], token)
    return Match(field, parts[0])


def _state(parts: tuple[str, ...], position: int) -> Node:
    if parts[0] in STATES and len(parts) == 1:
        return Is(parts[0])
    written = "*".join(parts)[:40]
    known = ", ".join(f"is:{state}" for state in STATES)
    raise QueryError(f"There is no state “{written}”. There are {known}.", position, STATES)


def _check_id(text: str, position: int) -> None:
    try:
        parse_id(text)
    except ValueError:
        raise QueryError(
            "This is no event id; for the start of one, write it with a “*”.", position
        ) from None


def _check_comparable(field: Field, value: str | None, token: Token) -> None:
    position = _start(token)
    if field[0] in ("is", "exists", "id"):
        raise QueryError(f"{field[0]}: takes one value, not a comparison.", position)
    if value is None:
        return
    kind = FIELDS[field[0]]
    if kind is Kind.TIME and not is_time(value):
        raise QueryError(
            f"“{value[:40]}” is no time.",
            position,
            ("2026-01-31", "2026-01-31T10:00:00+02:00", "now-15m"),
        )
    if kind is Kind.NUMBER and as_number(value) is None:
        raise QueryError(f"“{value[:40]}” is no number.", position, ("a number",))


def _text(token: Token) -> str:
    return _unquote(token) if token.type == "QUOTED" else _unescape(token)


def _unquote(token: Token) -> str:
    return _unescape(token[1:-1])


def _unescape(text: str) -> str:
    return re.sub(r"\\([\s\S])", r"\1", text)


def _wildcard_parts(token: Token) -> tuple[str, ...]:
    """The texts around the unescaped stars; neighbouring stars count as one."""
    parts = [""]
    for escaped, star, plain in _PIECE.findall(token):
        if not star:
            parts[-1] += escaped or plain
        elif len(parts) == 1 or parts[-1]:
            parts.append("")
    return tuple(parts)
