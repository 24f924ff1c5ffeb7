"""Trees written as text, and trees judged against the plain logic they stand for."""

import json
import string

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventhub.events.event import Event
from eventhub.query.describe import describe
from eventhub.query.parse import MAX_BYTES, parse
from eventhub.query.predicate import predicate
from eventhub.query.to_text import to_text
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
from tests.query_cases import NOW, SOURCES, Case, build

_SPECIAL = '*"\\:()[]{}<>=-. \n\t\u00a0é注🛒'
_text = st.text(
    st.sampled_from(_SPECIAL + "ANDORTab19") | st.characters(exclude_categories=["Cs"]), max_size=8
).filter(lambda text: "\0" not in text)
_path = st.sampled_from([("type",), ("key",), ("source",), ("correlation",)]) | st.tuples(
    st.sampled_from(["payload", "headers"]), _text, _text
)
_operator = st.sampled_from([">", ">=", "<", "<="])
_time = st.sampled_from(["now", "now-1h", "2026-01-01", "2026-01-01T10:00:00.5+02:00"])
_free = _text.filter(lambda text: text.strip("*") != "" and "**" not in text)
_leaf: st.SearchStrategy[Node] = st.one_of(
    st.builds(Match, _path, _text),
    st.builds(
        lambda field, first, middle, last: Like(field, (first, *filter(None, middle), last)),
        _path,
        _text.filter(bool),
        st.lists(_text, max_size=2),
        _text,
    ),
    st.builds(Compare, _path, _operator, _text),
    st.builds(Compare, st.just(("time",)), _operator, _time),
    st.builds(Range, _path, _text, st.none() | _text, st.booleans(), st.booleans()),
    st.builds(Exists, _path),
    st.builds(Is, st.sampled_from(["redelivered", "truncated", "binary"])),
    st.builds(Words, _text, st.just(True)),
    st.builds(Words, _free, st.just(False)),
    st.just(Everything()),
)
_tree = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)


@given(_tree)
@settings(max_examples=400, deadline=None)
def test_a_tree_written_as_text_is_read_as_the_same_tree(tree: Node) -> None:
    written = to_text(tree)
    assume(len(written.encode()) <= MAX_BYTES)
    assert parse(written) == tree


@given(_tree)
@settings(max_examples=300, deadline=None)
def test_every_tree_has_a_description_and_a_predicate(tree: Node) -> None:
    assert describe(tree)
    judge = predicate(tree, sources=SOURCES, now=NOW)
    for event in _EVENTS:
        assert judge(event) in (True, False)


@given(_tree, _tree)
@settings(max_examples=200, deadline=None)
def test_and_or_and_not_are_what_logic_says(one: Node, two: Node) -> None:
    def judged(tree: Node) -> list[bool]:
        judge = predicate(tree, sources=SOURCES, now=NOW)
        return [judge(event) for event in _EVENTS]

    left, right = judged(one), judged(two)
    assert judged(And((one, two))) == [a and b for a, b in zip(left, right, strict=True)]
    assert judged(Or((one, two))) == [a or b for a, b in zip(left, right, strict=True)]
    assert judged(Not(one)) == [not a for a in left]


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_json, st.booleans())
@settings(max_examples=400, deadline=None)
def test_every_scalar_of_a_payload_is_found_by_its_path(document: object, ascii_only: bool) -> None:
    payload = json.dumps(document, ensure_ascii=ascii_only)
    ((event, _),) = build(Case("", [{"payload": payload}], []))
    for path, scalar in _scalars(document, ("payload",)):
        written = scalar if isinstance(scalar, str) else json.dumps(scalar)
        query = parse(to_text(Match(path, written)))
        assert predicate(query, sources=SOURCES, now=NOW)(event), (payload, path, scalar)


def _scalars(value: object, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], object]]:
    if isinstance(value, list):
        return [pair for element in value for pair in _scalars(element, path)]
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _scalars(inner, (*path, key))]
    return [(path, value)]


@given(st.text(max_size=200), st.text(max_size=3), st.binary(max_size=50))
@settings(max_examples=300, deadline=None)
def test_no_payload_makes_a_predicate_raise(head: str, mark: str, tail: bytes) -> None:
    payload = head.encode("utf-8", "replace") + mark.encode("utf-8", "replace") + tail
    for wrapped in (payload, b'{"a":"' + payload + b'"}', b"[" + payload + b"]"):
        ((event, _),) = build(Case("", [{"payload": wrapped}], []))
        for judge in _JUDGES:
            assert judge(event) in (True, False)


_JUDGES = [
    predicate(parse(query), sources=SOURCES, now=NOW)
    for query in ("payload.a:x", "payload.a:>5", "payload:*", "word", "w*d", "payload.a:>now-1h")
]
_EVENTS: list[Event] = [
    event
    for event, _ in build(
        Case(
            "",
            [
                {"type": "a", "key": "1", "payload": {"": "a", "a": {"b": [1, "x", None]}}},
                {"flags": 7, "payload": b"\xff\x00", "event_time": NOW},
                {"payload": "[" * 10000, "headers": [("a", float("nan")), ("a", [b"\xff", {}])]},
                {"payload": "*a-b* AND é注🛒", "correlation_id": "OR", "source_id": 9},
            ],
            [],
        )
    )
]
