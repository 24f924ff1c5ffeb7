"""Records and messages, both ways, without a broker."""

from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka import Message as Record
from hypothesis import given
from hypothesis import strategies as st

from collectors.kafka.translate import (
    TOMBSTONE,
    record_headers,
    record_key,
    record_value,
    to_delivery,
)
from eventhub.brokers.contract import Message
from eventhub.events.headers import Header, HeaderValue

names = st.text(max_size=20)
texts = st.text(max_size=20).map(str.encode)
values = st.none() | st.binary(max_size=40) | texts


def record(value: bytes | None = b"x", **more: Any) -> Record:
    place: dict[str, Any] = {"topic": "orders", "partition": 3, "offset": 4711}
    return Record(**{**place, "timestamp": (0, 0), **more}, value=value)


@given(st.lists(st.tuples(names, values), max_size=6), values, values)
def test_a_record_is_written_as_it_was_read(
    headers: list[tuple[str, bytes | None]], key: bytes | None, value: bytes | None
) -> None:
    got = to_delivery(record(value, key=key, headers=headers))
    again = Message(got.payload, key=got.key, headers=got.headers)
    assert record_value(again) == value
    assert record_key(again) == key
    back = [(n, v.encode() if isinstance(v, str) else v) for n, v in record_headers(again)]
    assert back == headers


def test_a_tombstone_is_told_from_an_empty_record() -> None:
    assert (TOMBSTONE, True) in to_delivery(record(None)).headers
    assert to_delivery(record(b"")).headers == ()
    # A producer's own header of that name is a text.
    own = to_delivery(record(b"", headers=[(TOMBSTONE, b"true")]))
    assert record_value(Message(own.payload, headers=own.headers)) == b""


def test_repeated_headers_keep_their_order() -> None:
    headers = [("a", b"1"), ("b", None), ("a", b"\xff"), ("a", b"")]
    got = to_delivery(record(headers=headers))
    assert got.headers == [("a", "1"), ("b", None), ("a", b"\xff"), ("a", "")]


def test_times_are_the_producers_or_the_brokers() -> None:
    created = to_delivery(record(timestamp=(TIMESTAMP_CREATE_TIME, 1_700_000_000_123)))
    assert (created.event_time, created.broker_time) == (1_700_000_000_123, None)
    appended = to_delivery(
        record(b'{"time": 1600000000}', timestamp=(TIMESTAMP_LOG_APPEND_TIME, 1_700_000_000_123))
    )
    assert (appended.event_time, appended.broker_time) == (1_600_000_000_000, 1_700_000_000_123)


@pytest.mark.parametrize(
    ("headers", "payload", "told"),
    [
        ([("ce_type", b"a.b"), ("ce_id", b"7")], b"", ("a.b", None, "7", None)),
        ([("__TypeId__", b"com.acme.Order")], b"", ("com.acme.Order", None, None, None)),
        ([("contentType", b"text/plain")], b"", (None, None, None, "text/plain")),
        ([("correlationId", b"c")], b'{"type": "T"}', ("T", "c", None, None)),
        ([], b'{"type": "T", "id": 9, "correlation_id": "c"}', ("T", "c", "9", None)),
        ([("ce_type", b"\xff")], b"[1]", (None, None, None, None)),
    ],
)
def test_the_common_fields_are_found(
    headers: list[tuple[str, bytes]], payload: bytes, told: tuple[str | None, ...]
) -> None:
    got = to_delivery(record(payload, headers=headers))
    assert (got.type, got.correlation_id, got.message_id, got.content_type) == told


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (7, b"7"),
        (True, b"true"),
        ([1, "a"], b'[1,"a"]'),
        ({"a": 1}, b'{"a":1}'),
        ("ü", b"\xc3\xbc"),
    ],
)
def test_what_other_brokers_carry_becomes_text(value: HeaderValue, written: bytes) -> None:
    headers: list[Header] = [("h", value)]
    [(_, got)] = record_headers(Message(b"", headers=headers))
    assert got == written
