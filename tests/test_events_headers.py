"""Headers come back from their stored form as the broker gave them."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.events.headers import (
    NO_HEADERS,
    HeaderValue,
    decode_headers,
    encode_headers,
    header_text,
)

_zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=_zones),
)
_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(st.tuples(_names, _values), max_size=6))
@settings(max_examples=300, deadline=None)
def test_every_header_comes_back_with_its_type(headers: list[tuple[str, HeaderValue]]) -> None:
    back = decode_headers(encode_headers(headers))
    assert back == headers
    assert [_types(value) for _, value in back] == [_types(value) for _, value in headers]


def _types(value: HeaderValue) -> object:
    if isinstance(value, list):
        return [_types(item) for item in value]
    if isinstance(value, dict):
        return {name: _types(item) for name, item in value.items()}
    return type(value)


@given(_values)
@settings(max_examples=300, deadline=None)
def test_every_value_has_a_text(value: HeaderValue) -> None:
    header_text(value).encode()


def test_no_headers_are_the_empty_list() -> None:
    assert encode_headers([]) == NO_HEADERS
    assert decode_headers(NO_HEADERS) == []


def test_names_may_repeat_and_keep_their_order() -> None:
    headers: list[tuple[str, HeaderValue]] = [("b", 1), ("a", b"\x00"), ("b", "2")]
    assert decode_headers(encode_headers(headers)) == headers


def test_a_table_that_looks_like_a_stored_value_stays_a_table() -> None:
    headers: list[tuple[str, HeaderValue]] = [("t", {"$bytes": "QQ=="}), ("u", {"$table": []})]
    assert decode_headers(encode_headers(headers)) == headers


def test_not_a_number_comes_back() -> None:
    ((_, value),) = decode_headers(encode_headers([("n", float("nan"))]))
    assert isinstance(value, float)
    assert math.isnan(value)


def test_a_time_without_a_zone_is_utc() -> None:
    ((_, value),) = decode_headers(encode_headers([("t", datetime(2026, 1, 1))]))  # noqa: DTZ001
    assert value == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_last_moment_of_the_calendar_has_no_overflow() -> None:
    late = datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))
    assert decode_headers(encode_headers([("t", late)])) == [("t", late)]


@pytest.mark.parametrize("place", ["name", "value", "key"])
def test_lone_surrogates_are_written_out(place: str) -> None:
    name = "\udcff" if place == "name" else "n"
    value: HeaderValue = {"\udcff" if place == "key" else "k": "\udcff"}
    stored = encode_headers([(name, value)])
    assert b"\\\\udcff" in stored
    json.loads(stored)


def test_ten_thousand_levels_neither_fail_nor_lose_the_rest() -> None:
    deep: HeaderValue = "x"
    for _ in range(10_000):
        deep = [deep]
    back = decode_headers(encode_headers([("deep", deep), ("flat", 1)]))
    assert back[1] == ("flat", 1)
    assert header_text(deep).startswith("[[")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (b"bytes \xff", "bytes \\xff"),
        (True, "true"),
        (None, "null"),
        (3, "3"),
        (2**70, "1180591620717411303424"),
        (float("inf"), "inf"),
        (Decimal("1.50"), "1.50"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
        ([{"reason": "rejected", "count": 2, "raw": b"x"}],
         '[{"reason":"rejected","count":2,"raw":"x"}]'),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_one_line(value: HeaderValue, text: str) -> None:
    assert header_text(value) == text
