"""JSON as lines: nothing of what was written is lost, and nothing is too deep or too long."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.events.json_lines import JsonLine, json_lines


def _written(lines: list[JsonLine]) -> str:
    """The lines put together again as JSON text."""
    text = ""
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        key = f'"{line.key}":' if line.key is not None else ""
        ends = following is None or following.kind == "end"
        text += key + line.text + ("" if ends or line.text in ("{", "[") else ",")
    return text


_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_documents, st.booleans(), st.sampled_from([None, 0, 3]))
@settings(max_examples=400, deadline=None)
def test_lines_put_together_are_the_document(
    document: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    shown = json_lines(text)
    assert shown.complete
    back = json.loads(_written(shown.lines))
    assert json.dumps(back) == json.dumps(document)


@given(st.text(max_size=60) | st.text('[]{}":,\\1e.-tru nlfaNI', max_size=40))
@settings(max_examples=600, deadline=None)
def test_any_text_ends_as_json_says(text: str) -> None:
    shown = json_lines(text)
    try:
        json.loads(text)
    except ValueError:
        assert not shown.complete
        assert shown.cut or shown.error_at is not None
    except RecursionError:
        pass
    else:
        assert shown.complete
    if shown.error_at is not None:
        assert 0 <= shown.error_at < len(text)


@given(_documents.filter(lambda document: isinstance(document, list | dict)), st.data())
@settings(max_examples=200, deadline=None)
def test_a_document_that_was_cut_is_called_cut(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document)
    end = data.draw(st.integers(1, len(text) - 1))
    shown = json_lines(text[:end])
    assert shown.cut
    assert shown.error_at is None


def test_repeated_keys_are_kept_and_marked() -> None:
    lines = json_lines('{"a":1,"b":2,"\\u0061":3,"c":{"a":4}}').lines
    assert [(line.key, line.text, line.repeated) for line in lines[1:-1]] == [
        ("a", "1", False),
        ("b", "2", False),
        ("\\u0061", "3", True),
        ("c", "{", False),
        ("a", "4", False),
        (None, "}", False),
    ]


@pytest.mark.parametrize("number", ["1.50", "-0", "1e400", "1E+5", "9" * 5000, "0.1" + "0" * 300])
def test_numbers_are_shown_digit_for_digit(number: str) -> None:
    (_, line, _) = json_lines(f"[{number}]").lines
    assert (line.kind, line.text, line.value) == (
        "number",
        number,
        number if len(number) <= 200 else None,
    )


def test_a_line_knows_what_a_query_would_ask() -> None:
    lines = json_lines('{"a.b":[{"c":"caf\\u00e9"},true],"\\ud800":1,"n":"\\u0000"}').lines
    asked = {line.text: (line.path, line.value) for line in lines if line.value or line.key}
    assert asked['"caf\\u00e9"'] == (("a.b", "c"), "café")
    assert asked["true"] == (("a.b",), "true")
    assert asked["1"] == (None, None)
    assert asked['"\\u0000"'] == (("n",), None)


def test_what_is_too_deep_is_folded_and_the_rest_still_shown() -> None:
    shown = json_lines('{"deep":' + "[" * 10_000 + '"]"' + "]" * 10_000 + ',"after":1}')
    assert shown.complete
    assert max(line.depth for line in shown.lines) == 100
    assert [line.text for line in shown.lines if line.kind == "folded"] == ["…"]
    assert (shown.lines[-2].key, shown.lines[-2].text) == ("after", "1")


def test_lines_and_texts_are_bounded() -> None:
    shown = json_lines("[" + "1," * 10_000 + "1]", max_lines=50)
    assert len(shown.lines) == 50
    assert (shown.complete, shown.cut, shown.error_at) == (False, False, None)
    (line,) = json_lines('"' + "x" * 20_000 + '"').lines
    assert len(line.text) == 10_001
    assert line.text.endswith("…")


@pytest.mark.parametrize(
    ("text", "place"),
    [("[1,]", 3), ('{"a" 1}', 5), ("[1 2]", 3), ("[1]x", 3), ("[01]", 1), ("nope", 0),
     ('["\n"]', 1), ("[1}", 2), ("{]", 1), ('{1:2}', 1), ("[+1]", 1), ("  }", 2), ('["\\x"]', 1)],
)  # fmt: skip
def test_an_error_is_pointed_at(text: str, place: int) -> None:
    shown = json_lines(text)
    assert shown.error_at == place
    assert not shown.cut
