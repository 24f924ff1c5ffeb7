"""Tests of one value, of a payload, a header or a column: text, number, yes or no, nothing."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any, Final, TypeAlias

from eventhub.query.numbers import as_number
from eventhub.query.times import Span, parse_time
from eventhub.query.tree import Compare, Exists, Like, Match, Range
from eventhub.query.wildcards import like

__all__ = ["Leaf", "ValueTest", "as_range", "time_bounds", "time_test", "value_test"]

Leaf: TypeAlias = Match | Like | Compare | Range | Exists
ValueTest: TypeAlias = Callable[[Any], bool]

_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {">": gt, ">=": ge, "<": lt, "<=": le}


def as_range(node: Compare | Range) -> Range:
    """`>5` as a range that is open above."""
    if isinstance(node, Range):
        return node
    includes = node.operator in (">=", "<=")
    if node.operator.startswith(">"):
        return Range(node.field, node.value, None, includes, True)
    return Range(node.field, None, node.value, True, includes)


def value_test(node: Leaf, now: int) -> ValueTest:
    """Whether one value is what `node` asks for.

    A number equals a number (5 and 5.0), a text the same text. Bounds that are numbers compare
    with numbers and with texts that are numbers; bounds that are times with texts that are times;
    any other bounds with texts, character by character. A wildcard sees a number as its text.
    """
    match node:
        case Match():
            return _equality(node.value)
        case Like():
            test = like(node.parts)
            return lambda value: (text := _text_of(value)) is not None and test(text)
        case Exists():
            return lambda value: value is not None
    return _between(as_range(node), now)


def time_test(node: Leaf, now: int) -> Callable[[int | None], bool]:
    """The same for a time in milliseconds."""
    if isinstance(node, Exists):
        return lambda value: value is not None
    assert not isinstance(node, Like)
    first, last = time_bounds(node, now)
    least = float("-inf") if first is None else first
    most = float("inf") if last is None else last
    return lambda value: value is not None and least <= value <= most


def time_bounds(node: Match | Compare | Range, now: int) -> tuple[int | None, int | None]:
    """The first and the last millisecond that a condition on a time allows; None is open."""
    if isinstance(node, Match):
        return _span(node.value, now)
    bounds = as_range(node)
    first = last = None
    if bounds.low is not None:
        low = _span(bounds.low, now)
        first = low.first if bounds.includes_low else low.last + 1
    if bounds.high is not None:
        high = _span(bounds.high, now)
        last = high.last if bounds.includes_high else high.first - 1
    return first, last


def _span(text: str, now: int) -> Span:
    span = parse_time(text, now)
    if span is None:
        raise ValueError(f"{text!r} is no time")
    return span


def _equality(wanted: str) -> ValueTest:
    number = as_number(wanted)
    if number is None:
        return lambda value: value == wanted if type(value) is str else _text_of(value) == wanted
    return lambda value: value == wanted if type(value) is str else _number_of(value) == number


def _between(bounds: Range, now: int) -> ValueTest:
    given = [text for text in (bounds.low, bounds.high) if text is not None]
    if all(as_number(text) is not None for text in given):
        return _number_between(bounds)
    if all(parse_time(text, now) is not None for text in given):
        within = time_test(bounds, now)
        return lambda value: (moment := _time_of(value)) is not None and within(moment)
    return _text_between(bounds)


def _number_between(bounds: Range) -> ValueTest:
    test = _inside(
        as_number(bounds.low) if bounds.low is not None else None,
        as_number(bounds.high) if bounds.high is not None else None,
        bounds,
    )

    def within(value: Any) -> bool:
        number = as_number(value) if isinstance(value, str) else _number_of(value)
        return number is not None and test(number)

    return within


def _text_between(bounds: Range) -> ValueTest:
    test = _inside(bounds.low, bounds.high, bounds)
    return lambda value: isinstance(value, str) and test(value)


def _inside(low: Any, high: Any, bounds: Range) -> ValueTest:
    above = ge if bounds.includes_low else gt
    below = le if bounds.includes_high else lt
    if low is None:
        return lambda value: below(value, high)
    if high is None:
        return lambda value: above(value, low)
    return lambda value: above(value, low) and below(value, high)


def _number_of(value: Any) -> Decimal | int | None:
    """Exact; None for what is no number, or not one that can be ordered (NaN)."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is float:
        # As it is written: 0.1 is asked for as 0.1.
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and not value.is_nan():
        return value
    return None


def _time_of(value: Any) -> int | None:
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    # Asked for the time of a day, `now` in a payload is a word.
    if isinstance(value, str) and value[:4].isdecimal():
        span = parse_time(value, 0)
        return span.first if span else None
    return None


def _text_of(value: Any) -> str | None:
    """The text of a value that is no list and no object."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime):
        return value.isoformat()
    return None
