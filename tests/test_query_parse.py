"""Reading queries: errors that point, limits, threads, and whatever a person may type."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventhub.query.describe import describe
from eventhub.query.parse import MAX_BYTES, MAX_DEPTH, QueryError, parse
from eventhub.query.predicate import predicate
from eventhub.query.to_text import to_text
from eventhub.query.tree import And, Everything, Like, Match, Node, Not, Or, Words
from tests.query_cases import CASES, NOW, SOURCES, build


@pytest.mark.parametrize(
    ("query", "position", "part"),
    [
        ("tpye:x", 0, "Did you mean type?"),
        ("type:a amount:>5", 7, "Did you mean payload.amount?"),
        ("Type:x", 0, "Did you mean type?"),
        ("corelation:x", 0, "Did you mean correlation?"),
        ("12:30", 0, "There is no field “12”"),
        ("exists:amount", 7, "Did you mean payload.amount?"),
        ("type.x:1", 0, "has no fields of its own"),
        ("headers:x", 0, "headers.name"),
        ("is:dead-letter", 3, "is:redelivered, is:truncated, is:binary"),
        ("is:b*", 3, "no state “b*”"),
        ("is:>5", 4, "not a comparison"),
        ("id:xyz", 3, "no event id"),
        ("time:yesterday", 5, "no time"),
        ("time:2026-02-30", 5, "no time"),
        ("time:[2026-01-01 TO 25:00]", 20, "no time"),
        ("time:2026*", 5, "no wildcards"),
        ("size:big", 5, "no number"),
        ("size:>NaN", 6, "no number"),
        ("type:(a OR", 10, "a value is missing"),
        ("(a OR", 5, "something to search for is missing"),
        ("type:", 5, "a value is missing"),
        ("type:  ", 7, "a value is missing"),
        ("type:>", 6, "a value is missing"),
        ("a AND", 5, "is missing"),
        ("OR a", 0, "not expected here"),
        ("a OR OR b", 5, "not expected here"),
        ("()", 1, "not expected here"),
        ("(a OR b", 0, "never closed"),
        ("x ((a) b", 2, "never closed"),
        ("type:(a", 5, "never closed"),
        ("payload.a:[1 TO 2", 10, "never closed"),
        ("a)", 1, "closes nothing"),
        ('say "hello', 4, "quote is never closed"),
        ("a\\", 1, "backslash"),
        (":x", 0, "field's name"),
        ("payload.:x", 8, "field's name"),
        ("a - b", 2, "without a space"),
        ("[a", 0, "meaning of its own"),
        ('{"a":1}', 0, "meaning of its own"),
        ("payload.a:[1 2]", 13, "TO is"),
        ("payload.a:[1 to 2]", 13, "TO is"),
        ("foo(bar)", 3, "Put a space"),
        ('type:a"b"', 6, "Put a space"),
        ("type=a", 4, "goes “:”"),
        ("key:b payload.amount>900", 20, "goes “:”"),
        ("x " + "*a-" * 9, 2, "8 words at most"),
        ("a\0b", 1, "cannot be part"),
        ("ab\ud800", 2, "cannot be part"),
    ],
)
def test_errors_point_at_the_character(query: str, position: int, part: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert caught.value.position == position
    assert part in caught.value.message


def test_errors_name_what_could_stand_there() -> None:
    with pytest.raises(QueryError) as caught:
        parse("payload.a:[1 2]")
    assert caught.value.expected == ("TO",)
    with pytest.raises(QueryError) as caught:
        parse("is:odd")
    assert caught.value.expected == ("redelivered", "truncated", "binary")


@pytest.mark.parametrize(
    "hostile",
    [
        "(" * MAX_BYTES,
        "(" * 4000 + ")" * 4000,
        "NOT " * 2000 + "a",
        "-" * 8000 + "a",
        "NOT (" * 1600,
        "type:" + "(" * 8000,
        "-(a) " * 20 + "(" * 51 + "a" + ")" * 51,
    ],
)
def test_nesting_without_end_is_refused_in_words(hostile: str) -> None:
    with pytest.raises(QueryError, match="50 deep at most"):
        parse(hostile)


def test_the_deepest_query_allowed_can_be_judged_described_and_written() -> None:
    for query in (
        "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH,
        "NOT " * MAX_DEPTH + "a",
        "NOT (b " * (MAX_DEPTH // 2) + "a" + ")" * (MAX_DEPTH // 2),
        "type:" + "(a OR " * MAX_DEPTH + "b" + ")" * MAX_DEPTH,
    ):
        tree = parse(query)
        assert describe(tree).startswith("events ")
        judge = predicate(tree, sources=SOURCES, now=NOW)
        for event, _ in build(CASES[0]):
            assert judge(event) in (True, False)


def test_many_terms_side_by_side_are_not_deep() -> None:
    tree = parse("-a " * 2000 + "(b) " * 400)
    assert isinstance(tree, And)
    assert len(tree.parts) == 2400


@pytest.mark.parametrize("query", ["a" * (MAX_BYTES + 1), "é" * (MAX_BYTES // 2 + 1)])
def test_a_query_is_measured_in_bytes(query: str) -> None:
    with pytest.raises(QueryError, match="8192 bytes at most"):
        parse(query)
    assert parse("é" * (MAX_BYTES // 2)) == Words("é" * (MAX_BYTES // 2))


def test_spaces_alone_ask_for_everything() -> None:
    assert parse(" \t\n\u00a0 ") == Everything()


def test_wildcards_are_told_from_stars() -> None:
    assert parse("type:a*b") == Like(("type",), ("a", "b"))
    assert parse(r"type:a\*b") == Match(("type",), "a*b")
    assert parse(r"type:a\**") == Like(("type",), ("a*", ""))
    assert parse("type:**a**") == Like(("type",), ("", "a", ""))


def test_a_group_gives_its_field_to_each_value() -> None:
    assert parse("type:(a OR NOT (b c))") == Or(
        (
            Match(("type",), "a"),
            Not(And((Match(("type",), "b"), Match(("type",), "c")))),
        )
    )


def test_threads_share_the_parser() -> None:
    queries = [case.query for case in CASES] * 5
    alone = [parse(query) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(parse, queries)) == alone


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "all events"),
        (
            "type:OrderPlaced AND payload.amount:>900",
            "events of type OrderPlaced with payload.amount over 900",
        ),
        (
            "source:shop destination:orders.* time:>now-15m",
            "events from source shop on orders.* observed in the last 15 minutes",
        ),
        ("time:[now-1h TO now]", "events observed in the last hour"),
        ("key:a size:>=5", "events with key a and with size at least 5"),
        ("type:(A OR B) -exists:payload.x", "events (of type A or B) without payload.x"),
        ('"card declined" OR is:redelivered',
         "events either containing “card declined” or redelivered by the broker"),
        ("payload.a:{1 TO 5]", "events with payload.a over 1 and at most 5"),
        ("payload.a:[1 TO 5]", "events with payload.a from 1 to 5"),
        ("NOT time:2026-01-01", "events not observed at 2026-01-01"),
        ('payload.a:"x y"', "events with payload.a “x y”"),
        ("exists:correlation", "events with any correlation id"),
    ],
)  # fmt: skip
def test_a_query_is_said_in_words(query: str, words: str) -> None:
    assert describe(parse(query)) == words


_FRAGMENTS = """type: payload.a payload."a.b": is: exists: id: size: time: headers.x: ( ) [ ] { }
    " \\ * - : > >= < <= AND OR NOT TO now now-1h 2026-01-01 +02:00 5 -5 1e9 a b 注 🛒 é https://
    . , ' % _ binary redelivered"""
_fragments = st.sampled_from(_FRAGMENTS.split())
_typed = st.lists(_fragments | st.just(" ") | st.text(max_size=3), max_size=40).map("".join)


@given(_typed | st.text())
@settings(max_examples=600, deadline=None)
@example("type:\u2028x")
@example("\x1c(")
@example('"a":')
def test_whatever_is_typed_is_a_tree_or_a_query_error(typed: str) -> None:
    tree = _tree_or_error(typed)
    if isinstance(tree, QueryError):
        assert 0 <= tree.position <= len(typed)
        assert tree.message
        return
    assert describe(tree)
    assert parse(to_text(tree)) == tree
    judge = predicate(tree, sources=SOURCES, now=NOW)
    for event, _ in build(CASES[0]):
        assert judge(event) in (True, False)


def _tree_or_error(typed: str) -> Node | QueryError:
    try:
        return parse(typed)
    except QueryError as error:
        return error
