"""The predicate, on the table that every evaluator of the language shares."""

import pytest

from eventhub.query.parse import parse
from eventhub.query.predicate import needs_payload, predicate
from eventhub.query.to_text import to_text
from tests.query_cases import CASES, NOW, SOURCES, Case, build


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.query[:60].encode("unicode_escape"))
def test_the_predicate_finds_what_the_table_says(case: Case) -> None:
    judge = predicate(parse(case.query), sources=SOURCES, now=NOW)
    for event, finds in build(case):
        assert judge(event) is finds, (case.query, event)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.query[:60].encode("unicode_escape"))
def test_written_back_it_means_the_same(case: Case) -> None:
    tree = parse(case.query)
    assert parse(to_text(tree)) == tree


def test_conditions_on_columns_alone_need_no_payload() -> None:
    assert not needs_payload(parse("type:a OR (headers.b:c -is:binary time:>now-1h)"))
    assert needs_payload(parse("type:a OR (key:b -payload.c:d)"))
    assert needs_payload(parse("type:a word"))
