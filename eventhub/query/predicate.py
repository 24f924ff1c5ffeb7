"""Syntax tree to a predicate on one event: the exact meaning of the language.

Stores compile what they can of a tree to SQL, as a *necessary* condition, and let the predicate
judge what that finds. What each node says of an `Event`:

- `Match`, `Like`, `Compare`, `Range` on a field of `fields.COLUMNS`: that one attribute, which is
  there (None never matches). Text is compared by code points, with case; `Compare` and `Range`
  with bounds that are numbers or times take only texts that are such (see `values.value_test`),
  so a plain SQL comparison is neither necessary nor sufficient for them.
- on `time`: the time in the id. A written time is a span (`2026-01-01` is the day): `>` means
  after it, `>=` from its start, `<` before it, `<=` up to its end. `values.time_bounds` gives the
  exact milliseconds, for `event_time` and `broker_time` too.
- on `size`: `payload_size`.
- on `source`: the name of `source_id` in `sources`; an id that is not there never matches.
- on `id`: `Match` the whole id, `Like` its written form (with dashes, in any case).
- on `headers.…`, `payload.…`: the decoded headers or payload, any element of a list. The last
  value of a repeated key of an object counts; any header of a repeated name does.
  `documents.must_contain` gives UTF-8 that a matching payload holds, unless it has a backslash.
- `Exists`: the attribute is not None; in a document, a value that is not null.
- `Words`: the payload's words, or those of any one of type, key, correlation id, message id and
  destination, each alone. `words.needles` gives texts that must occur in the case-folded text;
  in a payload with a backslash they may be hidden by a JSON escape.
- `Is`: `flags`, and for `redelivered` also `redeliveries > 0`.
- `Not` of a necessary condition is not necessary: only exact conditions may be negated.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from eventhub.events.event import Event, Flag
from eventhub.events.identity import parse_id, time_of
from eventhub.query.documents import document_test, header_test
from eventhub.query.fields import COLUMNS, FIELDS, Kind
from eventhub.query.reading import Reading
from eventhub.query.tree import And, Everything, Exists, Is, Like, Match, Node, Not, Or, Words
from eventhub.query.values import Leaf, time_test, value_test
from eventhub.query.words import word_finder

__all__ = ["needs_payload", "predicate"]

Test: TypeAlias = Callable[[Reading], bool]


def predicate(node: Node, *, sources: Mapping[int, str], now: int) -> Callable[[Event], bool]:
    """Whether an event is what `node` asks for; compiled once, never raises for any event.

    `sources` gives the name of each source id. `now` is in milliseconds since 1970 and fixed for
    this predicate: `time:>now-15m` does not slide. Parses a payload at most once a call, and only
    when the cheaper conditions have not decided. Safe to call from many threads.
    """
    if isinstance(node, Everything):
        return lambda event: True
    test = _compile(node, sources, now)
    return lambda event: test(Reading(event))


def needs_payload(node: Node) -> bool:
    """Whether the predicate looks into payloads."""
    if isinstance(node, And | Or):
        return any(needs_payload(part) for part in node.parts)
    if isinstance(node, Not):
        return needs_payload(node.part)
    if isinstance(node, Everything | Is):
        return False
    return isinstance(node, Words) or node.field[0] == "payload"


def _compile(node: Node, sources: Mapping[int, str], now: int) -> Test:
    match node:
        case Everything():
            return lambda reading: True
        case And(parts):
            return _all([_compile(part, sources, now) for part in _cheap_first(parts)])
        case Or(parts):
            return _any([_compile(part, sources, now) for part in _cheap_first(parts)])
        case Not(part):
            test = _compile(part, sources, now)
            return lambda reading: not test(reading)
        case Words():
            return _compile_words(node)
        case Is(state):
            return _compile_state(state)
    return _compile_field(node, sources, now)


def _cheap_first(parts: tuple[Node, ...]) -> list[Node]:
    return sorted(parts, key=needs_payload)


def _all(tests: list[Test]) -> Test:
    if len(tests) == 2:
        one, two = tests
        return lambda reading: one(reading) and two(reading)

    def test(reading: Reading) -> bool:
        for part in tests:  # noqa: SIM110 (a generator costs more than these tests)
            if not part(reading):
                return False
        return True

    return test


def _any(tests: list[Test]) -> Test:
    def test(reading: Reading) -> bool:
        for part in tests:  # noqa: SIM110
            if part(reading):
                return True
        return False

    return test


def _compile_words(node: Words) -> Test:
    find = word_finder(node)

    def test(reading: Reading) -> bool:
        event = reading.event
        for text in (
            event.type, event.key, event.correlation_id, event.message_id, event.destination,
        ):  # fmt: skip
            if text is not None and find(text.casefold()):
                return True
        return any(map(find, reading.folded))

    return test


def _compile_state(state: str) -> Test:
    if state == "redelivered":
        redelivered = int(Flag.REDELIVERED)
        return lambda reading: (
            reading.event.redeliveries > 0 or reading.event.flags & redelivered != 0
        )
    flag = int(Flag[state.upper()])
    return lambda reading: reading.event.flags & flag != 0


def _compile_field(node: Leaf, sources: Mapping[int, str], now: int) -> Test:
    name = node.field[0]
    if name == "payload":
        return document_test(node, now)
    if name == "headers":
        return header_test(node, now)
    if name == "id":
        return _compile_id(node, now)
    if name == "source":
        wanted = {key for key, text in sources.items() if value_test(node, now)(text)}
        return lambda reading: reading.event.source_id in wanted
    if name == "time":
        within = time_test(node, now)
        return lambda reading: within(time_of(reading.event.id))
    return _compile_column(node, COLUMNS[name], now)


def _compile_id(node: Leaf, now: int) -> Test:
    if isinstance(node, Match):
        wanted = parse_id(node.value)
        return lambda reading: reading.event.id == wanted
    if isinstance(node, Like):
        node = Like(node.field, tuple(part.lower() for part in node.parts))
    test = value_test(node, now)
    return lambda reading: test(reading.event.uuid)


def _compile_column(node: Leaf, column: str, now: int) -> Test:
    kind = FIELDS[node.field[0]]
    if kind is Kind.TIME:
        within = time_test(node, now)
        return lambda reading: within(getattr(reading.event, column))
    if isinstance(node, Match) and kind is Kind.TEXT:
        wanted = node.value
        return lambda reading: getattr(reading.event, column) == wanted
    if isinstance(node, Exists):
        return lambda reading: getattr(reading.event, column) is not None
    test = value_test(node, now)

    def test_column(reading: Reading) -> bool:
        value = getattr(reading.event, column)
        return value is not None and test(value)

    return test_column
