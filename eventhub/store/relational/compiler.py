"""Syntax tree to SQL: a condition that holds for every event which the query matches.

What SQL can say exactly it says exactly, and only that may be negated. The rest is left to
`eventhub.query.predicate`, which judges every row that the condition lets through. What a person
wrote reaches SQL as a parameter, never as text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NamedTuple

from eventhub.events.event import Flag
from eventhub.events.identity import first_id, parse_id
from eventhub.events.text import storable
from eventhub.query.documents import must_contain
from eventhub.query.fields import COLUMNS, FIELDS, Kind
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
from eventhub.query.values import Leaf, as_range, time_bounds, value_test
from eventhub.query.words import needles
from eventhub.store.relational.database import Database, placeholders

__all__ = ["ALWAYS", "NEVER", "PREFIX", "Compiler", "Condition", "both"]

PREFIX: Final = 200
"""Characters of a text that are indexed: an index entry has room for 2,700 bytes."""
_MOST: Final = 2**62
_END_OF_IDS: Final = 2**48 - 1
"""Milliseconds: the last that an id can hold."""
_SEARCHED: Final = ("type", "key", "correlation_id", "message_id", "destination")
"""The columns that free words are also looked for in."""
_DIGITS: Final = re.compile(r"[0-9]+")


class Condition(NamedTuple):
    sql: str
    parameters: tuple[object, ...] = ()
    exact: bool = True
    """Holds for nothing but what the query matches."""


ALWAYS: Final = Condition("1 = 1")
NEVER: Final = Condition("1 = 0")
UNSAID: Final = Condition("1 = 1", exact=False)
"""SQL cannot tell."""


def both(*parts: Condition) -> Condition:
    return NEVER if NEVER in parts else _join(" AND ", parts)


def _join(word: str, parts: Iterable[Condition]) -> Condition:
    kept = list(parts)
    return Condition(
        "(" + word.join(part.sql for part in kept) + ")",
        tuple(value for part in kept for value in part.parameters),
        all(part.exact for part in kept),
    )


class Compiler:
    """Compiles for one engine, one moment (`now`, ms) and the sources that a reader may see."""

    def __init__(self, database: Database, sources: Mapping[int, str], now: int) -> None:
        self._db = database
        self._sources = sources
        self._now = now

    def condition(self, node: Node) -> Condition:
        match node:
            case Everything():
                return ALWAYS
            case And(parts):
                return both(*map(self.condition, parts))
            case Or(parts):
                compiled = [self.condition(part) for part in parts]
                return UNSAID if UNSAID in compiled else _join(" OR ", compiled)
            case Not(part):
                return self._negate(self.condition(part))
            case Words():
                return self._words(node)
            case Is(state):
                return _state(state)
        return self._leaf(node)

    def equals(self, column: str, value: str) -> Condition:
        """A text column has this value; the form that its index can answer."""
        if storable(value) != value:
            return NEVER
        short = Condition(f'(substr("{column}", 1, {PREFIX}) = %s AND "{column}" IS NOT NULL)')
        if len(value) < PREFIX:
            return short._replace(parameters=(value,))
        # Written `= value`, SQLite would put the value into `substr` and not use the index.
        return Condition(f"({short.sql} AND \"{column}\" || '' = %s)", (value[:PREFIX], value))

    def sources_of_all(self, conjuncts: Sequence[Node]) -> list[int]:
        """The sources that the conditions on the source among these leave."""
        left = set(self._sources)
        for part in conjuncts:
            if isinstance(part, Leaf) and part.field == ("source",):
                left &= set(self._sources_of(part))
        return sorted(left)

    def _sources_of(self, node: Leaf) -> list[int]:
        test = value_test(node, self._now)
        return [source_id for source_id, name in self._sources.items() if test(name)]

    def _negate(self, inner: Condition) -> Condition:
        if not inner.exact:
            return UNSAID
        # A comparison with an absent value is neither true nor false; to the query it is false.
        return inner._replace(sql=f"NOT COALESCE({inner.sql}, 1 = 0)")

    def _leaf(self, node: Leaf) -> Condition:
        name = node.field[0]
        match name:
            case "payload":
                needle = must_contain(node)
                return UNSAID if needle is None else self._payload_holds(needle)
            case "headers":
                return UNSAID
            case "source":
                wanted = self._sources_of(node)
                return Condition(f"source_id IN {placeholders(wanted)}", tuple(wanted))
            case "time":
                return self._time(node)
            case "id":
                return self._id(node)
        column = COLUMNS[name]
        if isinstance(node, Exists):
            return Condition(f'"{column}" IS NOT NULL')
        match FIELDS[name]:
            case Kind.TIME:
                assert not isinstance(node, Like)
                first, last = time_bounds(node, self._now)
                return _between(column, first, last)
            case Kind.NUMBER:
                return _number(column, node)
        return self._text(column, node)

    def _text(self, column: str, node: Leaf) -> Condition:
        if isinstance(node, Match):
            return self.equals(column, node.value)
        if isinstance(node, Like):
            return _starts_with(column, node.parts[0])
        assert not isinstance(node, Exists)
        bounds = as_range(node)
        given = [text for text in (bounds.low, bounds.high) if text is not None]
        if all(as_number(text) is not None for text in given) or all(map(is_time, given)):
            return UNSAID
        if any(storable(text) != text for text in given):
            return UNSAID
        parts = []
        if bounds.low is not None:
            operator = ">=" if bounds.includes_low else ">"
            parts.append(Condition(f'"{column}" {operator} %s', (bounds.low,)))
        if bounds.high is not None:
            operator = "<=" if bounds.includes_high else "<"
            parts.append(Condition(f'"{column}" {operator} %s', (bounds.high,)))
        return both(*parts)

    def _time(self, node: Leaf) -> Condition:
        if isinstance(node, Exists):
            return ALWAYS
        if isinstance(node, Like):
            return UNSAID
        first, last = time_bounds(node, self._now)
        if (last is not None and last < 0) or (first is not None and first >= _END_OF_IDS):
            return NEVER
        parts = []
        if first is not None and first > 0:
            parts.append(Condition("id >= %s", (self._db.id(first_id(first)),)))
        if last is not None and last < _END_OF_IDS:
            parts.append(Condition("id < %s", (self._db.id(first_id(last + 1)),)))
        return both(*parts) if parts else ALWAYS

    def _id(self, node: Leaf) -> Condition:
        if isinstance(node, Match):
            return Condition("id = %s", (self._db.id(parse_id(node.value)),))
        return ALWAYS if isinstance(node, Exists) else UNSAID

    def _words(self, node: Words) -> Condition:
        """Digits have no case, so SQL can look for an order's number; not for other words."""
        needle = next((text for text in needles(node) if _DIGITS.fullmatch(text)), None)
        if needle is None:
            return UNSAID
        columns = [
            Condition(self._db.holds(f'"{column}"'), (needle,), exact=False) for column in _SEARCHED
        ]
        return _join(" OR ", [self._payload_holds(needle.encode()), *columns])

    def _payload_holds(self, needle: bytes) -> Condition:
        """Or it holds a backslash, behind which JSON may hide any text."""
        holds = self._db.holds("payload")
        return Condition(f"({holds} OR {holds})", (needle, b"\\"), exact=False)


def _starts_with(column: str, prefix: str) -> Condition:
    if storable(prefix) != prefix:
        return NEVER
    indexed = f'substr("{column}", 1, {PREFIX})'
    prefix = prefix[:PREFIX]
    end = _after(prefix)
    if not prefix or end is None:
        return Condition(f'"{column}" IS NOT NULL', exact=False)
    sql = f'({indexed} >= %s AND {indexed} < %s AND "{column}" IS NOT NULL)'
    return Condition(sql, (prefix, end), exact=False)


def _after(prefix: str) -> str | None:
    """The least text above all that start so; None where there is none."""
    for length in range(len(prefix), 0, -1):
        code = ord(prefix[length - 1]) + 1
        if code == 0xD800:
            code = 0xE000  # surrogates are no characters
        if code <= 0x10FFFF:
            return prefix[: length - 1] + chr(code)
    return None


def _number(column: str, node: Match | Like | Compare | Range) -> Condition:
    if isinstance(node, Like):
        return UNSAID
    if isinstance(node, Match):
        value = as_number(node.value)
        return NEVER if value is None else _decimals(column, value, value, True, True)
    bounds = as_range(node)
    low = None if bounds.low is None else as_number(bounds.low)
    high = None if bounds.high is None else as_number(bounds.high)
    if (low is None) != (bounds.low is None) or (high is None) != (bounds.high is None):
        return UNSAID
    return _decimals(column, low, high, bounds.includes_low, bounds.includes_high)


def _decimals(
    column: str, low: Decimal | None, high: Decimal | None, with_low: bool, with_high: bool
) -> Condition:
    """Between two decimals, for a column of whole numbers."""
    least, most = -_MOST, _MOST
    if low is not None:
        rounded = _round(low, ROUND_CEILING)
        least = rounded + 1 if rounded == low and not with_low else rounded
    if high is not None:
        rounded = _round(high, ROUND_FLOOR)
        most = rounded - 1 if rounded == high and not with_high else rounded
    return _between(column, least, most)


def _round(value: Decimal, how: str) -> int:
    if abs(value) >= _MOST:
        return _MOST if value > 0 else -_MOST
    return int(value.to_integral_value(how))


def _between(column: str, least: int | None, most: int | None) -> Condition:
    bounds = -_MOST if least is None else least, _MOST if most is None else most
    return Condition(f'"{column}" BETWEEN %s AND %s', bounds)


def _state(state: str) -> Condition:
    flag = int(Flag[state.upper()])
    if state == "redelivered":
        return Condition(f"(redeliveries > 0 OR flags & {flag} <> 0)")
    return Condition(f"flags & {flag} <> 0")
