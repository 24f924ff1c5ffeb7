"""What the page about the language shows can be typed."""

import re
from pathlib import Path

import pytest

from eventhub.query.fields import FIELDS, field_name
from eventhub.query.parse import parse

_PAGE = (Path(__file__).parent.parent / "docs" / "query-language.md").read_text(encoding="utf-8")
_ROWS = [line for line in _PAGE.splitlines() if line.startswith("| ")][1:]
_EXAMPLES = [query for row in _ROWS for query in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("query", _EXAMPLES)
def test_an_example_of_the_page_is_a_query(query: str) -> None:
    parse(query)


def test_the_page_names_every_field() -> None:
    (paragraph,) = re.findall(r"\*\*Fields\*\*:([\s\S]+?)\n\n", _PAGE)
    named = {field_name(name.removesuffix(".…")) for name in re.findall(r"`([^`]+)`", paragraph)}
    assert named == set(FIELDS)
