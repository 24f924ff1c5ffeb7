"""AMQP properties and header tables, both ways, without a broker."""

import math
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.rabbitmq.firehose import traced
from collectors.rabbitmq.publisher import route
from collectors.rabbitmq.tables import Unwritable, read_table, write_table
from collectors.rabbitmq.translate import Content, delivery, is_transient, properties
from eventhub.brokers.contract import Delivery, Message
from eventhub.events.headers import Header, HeaderValue

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.integers(-(2**31) + 1, 2**31 - 1).map(lambda n: Decimal(n).scaleb(-2)),
    st.datetimes(min_value=datetime(1970, 1, 1)).map(  # noqa: DTZ001
        lambda time: time.replace(microsecond=0, tzinfo=UTC)
    ),
    st.binary(),
)
names = st.text(max_size=60)
values: Any = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=12
)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_a_table_is_read_as_it_was_written(headers: list[Header]) -> None:
    assert read_table(write_table(headers)[4:]) == headers


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_words(raw: bytes) -> None:
    try:
        headers = read_table(raw)
    except ValueError:
        return
    assert [type(name) for name, _ in headers] == [str] * len(headers)


@given(st.binary(min_size=2, max_size=200))
def test_no_properties_stop_a_delivery(raw: bytes) -> None:
    got = delivery(Content(1, False, b"orders", b"key", raw, b"payload"))
    assert (got.destination, got.key, got.payload) == ("orders", "key", b"payload")


@given(st.binary(min_size=2, max_size=200))
def test_no_trace_stops_a_delivery(raw: bytes) -> None:
    got = traced(Content(1, False, b"amq.rabbitmq.trace", b"publish.orders", raw, b"payload"))
    assert got.payload == b"payload"
    assert got.destination == "amq.rabbitmq.trace", "no trace is told as one"


@given(st.lists(st.tuples(names, values), max_size=6), st.text(max_size=60))
def test_any_message_is_built_from_its_trace(headers: list[Header], exchange: str) -> None:
    table = write_table(
        [
            ("exchange_name", exchange),
            ("routing_keys", ["a.b"]),
            ("properties", {"headers": dict(headers), "type": "T"}),
            ("routed_queues", []),
        ]
    )
    got = traced(Content(1, True, b"amq.rabbitmq.trace", b"", b"\x20\0" + table, b"payload"))
    assert (got.destination, got.key, got.type, got.redelivered) == (exchange, "a.b", "T", True)
    assert got.headers == [*dict(headers).items(), ("firehose.routed_queues", [])]


def test_what_only_the_firehose_knows_is_not_published() -> None:
    facts: list[Header] = [("firehose.node", "rabbit@a"), ("firehose.routed_queues", ["q"])]
    kept: list[Header] = [("firehose.brigade", "the application's own")]
    assert sent(Message(b"", headers=[*facts, *kept])).headers == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"s\xff\xfe", -2),
        (b"U\xff\xfe", -2),
        (b"u\xff\xfe", 65534),
        (b"I\xff\xff\xff\xff", -1),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"L" + b"\xff" * 8, -1),
        (b"l" + b"\xff" * 8, -1),
        (b"f" + struct.pack(">f", 0.5), 0.5),
        (b"d" + struct.pack(">d", 0.1), 0.1),
        (b"S\0\0\0\2\xff\xfe", b"\xff\xfe"),
        (b"T" + (60_000 * 31_557_600).to_bytes(8, "big"), 60_000 * 31_557_600),
        (b"T" + b"\xff" * 8, 2**64 - 1),
        (b"D\2\xff\xff\xff\x83", Decimal("-1.25")),
    ],
)
def test_every_type_of_field_is_read(field: bytes, value: HeaderValue) -> None:
    assert read_table(b"\1h" + field) == [("h", value)]


def test_a_number_that_is_none_is_read_too() -> None:
    [(_, value)] = read_table(b"\1h" + struct.pack(">cd", b"d", math.nan))
    assert isinstance(value, float)
    assert math.isnan(value)


def test_both_of_two_headers_with_one_name_are_kept() -> None:
    assert read_table(b"\1aV\1at\1") == [("a", None), ("a", True)]


def test_a_table_nested_too_deep_is_kept_as_its_bytes() -> None:
    raw = b""
    for _ in range(5_000):
        raw = b"\1n" + b"F" + struct.pack(">I", len(raw)) + raw
    [(name, value)] = read_table(raw)
    depth = 0
    while isinstance(value, dict):
        value = value["n"]
        depth += 1
    assert (name, depth) == ("n", 100)
    assert isinstance(value, bytes)


@pytest.mark.parametrize(
    "value", [2**63, Decimal("1e-300"), Decimal("NaN"), Decimal(10**12), math.nan, math.inf]
)
def test_what_amqp_cannot_carry_is_refused_by_name(value: HeaderValue) -> None:
    with pytest.raises(Unwritable, match="'total'"):
        write_table([("total", [value])])


def sent(message: Message) -> Delivery:
    """What arrives of a published message."""
    header = b"".join(properties(message).encode())
    return delivery(Content(1, False, b"x", b"k", header, message.payload))


def test_properties_without_a_field_of_an_event_survive_a_replay() -> None:
    kept: list[Header] = [
        ("tenant", "acme"),
        ("amqp.app_id", "shop"),
        ("amqp.cluster_id", "c"),
        ("amqp.delivery_mode", 1),
        ("amqp.expiration", "60000"),
        ("amqp.priority", 9),
        ("amqp.reply_to", "answers"),
        ("amqp.timestamp", 1_700_000_000),
        ("amqp.user_id", "guest"),
    ]
    first = sent(Message(b"x", type="T", message_id="m", headers=kept))
    assert sorted(first.headers) == sorted(kept)
    assert first.event_time == 1_700_000_000_000
    again = sent(Message(b"x", type="T", message_id="m", headers=first.headers))
    assert again == first


def test_a_header_that_only_looks_like_a_property_stays_a_header() -> None:
    odd: list[Header] = [("amqp.priority", "high"), ("amqp.priority", 300), ("amqp.other", 1)]
    assert sent(Message(b"x", headers=odd)).headers == odd


def test_a_message_is_published_persistent_unless_it_was_not() -> None:
    def header(*headers: Header) -> Content:
        raw = b"".join(properties(Message(b"", headers=list(headers), type="T")).encode())
        return Content(1, False, b"", b"", raw, b"")

    assert not is_transient(header())
    assert not is_transient(header(("tenant", "acme")))
    assert is_transient(header(("amqp.delivery_mode", 1)))
    assert is_transient(Content(1, False, b"", b"", b"\0\0", b""))


@pytest.mark.parametrize(
    ("headers", "type_"),
    [
        ([("cloudEvents:type", "a.b")], "a.b"),
        ([("cloudEvents_type", "a.b")], "a.b"),
        ([("ce_type", "a.b")], "a.b"),
        ([("ce-type", "a.b")], "a.b"),
        ([("__TypeId__", "com.acme.Order")], "com.acme.Order"),
        ([("NServiceBus.EnclosedMessageTypes", "Shop.Paid, Shop, V=1;Shop.Base")], "Shop.Paid"),
        ([("MT-MessageType", "urn:message:Shop:Paid;urn:message:Base")], "urn:message:Shop:Paid"),
        ([("__TypeId__", 7)], None),
        ([], None),
    ],
)
def test_the_type_is_found_where_producers_put_it(headers: list[Header], type_: str | None) -> None:
    assert sent(Message(b"", headers=headers)).type == type_
    assert sent(Message(b"", headers=headers, type="Own")).type == "Own"


def test_the_trace_id_correlates_where_nothing_else_does() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers: list[Header] = [("traceparent", f"00-{trace}-b7ad6b7169203331-01")]
    assert sent(Message(b"", headers=headers)).correlation_id == trace
    assert sent(Message(b"", headers=headers, correlation_id="c")).correlation_id == "c"
    assert sent(Message(b"", headers=[("traceparent", "nonsense")])).correlation_id is None


@pytest.mark.parametrize(
    ("timestamp", "event_time"),
    [(0, 0), (1_700_000_000, 1_700_000_000_000), (1_700_000_000_123, 1_700_000_000_123)],
)
def test_a_timestamp_is_seconds_or_was_meant_in_milliseconds(
    timestamp: int, event_time: int
) -> None:
    assert sent(Message(b"", headers=[("amqp.timestamp", timestamp)])).event_time == event_time


def test_a_timestamp_beyond_all_calendars_is_no_time_but_is_kept() -> None:
    got = sent(Message(b"", headers=[("amqp.timestamp", 2**64 - 1)]))
    assert got.event_time is None
    assert got.headers == [("amqp.timestamp", 2**64 - 1)]


def test_the_brokers_own_time_comes_from_its_interceptor() -> None:
    got = sent(Message(b"", headers=[("timestamp_in_ms", 1_700_000_000_123)]))
    assert got.broker_time == 1_700_000_000_123


def test_a_key_that_is_not_utf8_stays_bytes() -> None:
    got = delivery(Content(1, True, b"\xff", b"\xfe", b"\0\0", b""))
    assert got.key == b"\xfe"
    assert got.destination.encode("utf-8", "surrogateescape") == b"\xff"
    assert got.redelivered


def test_a_text_property_that_is_too_long_is_refused_by_name() -> None:
    message = msgspec.structs.replace(Message(b""), type="x" * 1_000_000)
    with pytest.raises(Unwritable, match="type"):
        properties(message).encode()


@pytest.mark.parametrize(
    ("target", "key", "routed"),
    [
        ("orders", "own", ("orders", "own")),
        ("orders", None, ("orders", "")),
        ("orders", b"\xff", ("orders", "\udcff")),
        ("orders/paid", "own", ("orders", "paid")),
        ("orders/", "own", ("orders", "")),
        ("orders/a/b", None, ("orders", "a/b")),
        ("/queue", "own", ("", "queue")),
        ("a%2Fb/c%2Fd", None, ("a/b", "c%2Fd")),
    ],
)
def test_a_target_names_an_exchange_and_maybe_a_key(
    target: str, key: str | bytes | None, routed: tuple[str, str]
) -> None:
    assert route(target, key) == routed
