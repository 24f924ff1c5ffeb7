"""AMQP messages to deliveries and back: nothing is lost, not even the type of a value.

The other side is proton's own codec, with which the adapter shares no code.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proton import (
    Array,
    Data,
    Described,
    Message,
    byte,
    char,
    decimal32,
    float32,
    int32,
    short,
    symbol,
    timestamp,
    ubyte,
    uint,
    ulong,
    ushort,
)  # fmt: skip

from collectors.activemq import encoding
from collectors.activemq.translate import delivery, encode
from collectors.activemq.typed import read_typed
from collectors.activemq.values import read
from eventhub.brokers import contract
from eventhub.brokers.contract import Delivery
from eventhub.events.headers import decode_headers, encode_headers

UUID_1 = UUID("12345678-1234-5678-1234-567812345678")


def encoded(**fields: Any) -> bytes:
    return bytes(Message(**fields).encode())


def again(raw: bytes) -> Message:
    """The message after it has been a delivery, was stored, and is published anew."""
    made = delivery(raw, "orders", known=True)
    headers = decode_headers(encode_headers(made.headers))
    fields = {name: getattr(made, name) for name in contract.Message.__struct_fields__}
    message = contract.Message(**{**fields, "headers": headers})
    found = Message()
    found.decode(encode(message, "orders"))
    return found


@pytest.mark.parametrize(
    "value",
    [
        byte(-1), ubyte(1), short(-2), ushort(2), int32(-3), uint(3), ulong(4), 5, -(2**63),
        float32(1.5), 0.1, True, None, "Grüße", "x" * 300, b"\xff\0", b"y" * 300, char("x"),
        symbol("a-symbol"), timestamp(1_767_323_045_678), timestamp(2**62), UUID_1, decimal32(7),
        [1, "a", [None]], [int32(1)], {"a": 1, "b": [True]}, {"a": int32(1)},
        Array(symbol("of-what"), Data.INT, 1, 2), Described(symbol("what"), "described"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_property_keeps_its_value_and_type(value: Any) -> None:
    before = encoded(properties={"it": value}, body=b"x", inferred=True)
    after, was = again(before), _decoded(before)  # held: proton's bytes are a view into them
    assert after.properties is not None
    assert shown(after.properties["it"]) == shown(was.properties["it"])


def shown(value: Any) -> str:
    """With its type; proton gives bytes as a view."""
    return repr(bytes(value) if isinstance(value, memoryview) else value)


def _decoded(raw: bytes) -> Any:
    found = Message()
    found.decode(raw)
    return found


def test_all_fields_of_the_properties_section_come_back() -> None:
    fields: dict[str, Any] = {
        "id": "id-1", "user_id": b"someone", "subject": "OrderPlaced", "reply_to": "answers",
        "correlation_id": "c-1", "content_type": symbol("text/plain"),
        "content_encoding": symbol("gzip"), "expiry_time": 4e9, "creation_time": 1_767_323_045.678,
        "group_id": "g", "group_sequence": 7, "reply_to_group_id": "rg", "priority": 9, "ttl": 60,
        "durable": True, "body": b"x", "inferred": True, "annotations": {symbol("x-a"): int32(1)},
    }  # fmt: skip
    after = again(encoded(**fields))
    for name in fields.keys() - {"body"}:
        assert getattr(after, name) == fields[name], name


@pytest.mark.parametrize("value", [ulong(7), UUID_1, b"\xff\0", "7"], ids=repr)
def test_an_id_keeps_its_type(value: Any) -> None:
    before = encoded(id=value, correlation_id=value, body=b"x", inferred=True)
    after, was = again(before), _decoded(before)
    assert shown(after.id) == shown(after.correlation_id) == shown(was.id)


def test_fields_are_where_an_event_has_them() -> None:
    raw = encoded(
        id=ulong(7), subject="OrderPlaced", correlation_id=UUID_1, group_id="customer-1",
        content_type=symbol("application/json"), creation_time=1_767_323_045.678, body=b"{}",
        inferred=True, properties={"tenant": "acme"}, durable=True, delivery_count=2,
    )  # fmt: skip
    assert delivery(raw, "orders", known=True) == Delivery(
        "orders",
        b"{}",
        key="customer-1",
        type="OrderPlaced",
        correlation_id=str(UUID_1),
        message_id="7",
        content_type="application/json",
        headers=[
            ("tenant", "acme"),
            ("amqp.creation-time", datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)),
            ("amqp.group-sequence", 0),
            ("amqp.types", {"message-id": "ulong", "correlation-id": "uuid"}),
        ],
        redelivered=True,
        event_time=1_767_323_045_678,
    )


@pytest.mark.parametrize(
    ("body", "payload", "kind"),
    [("Grüße", "Grüße".encode(), "string"), (b"\xff\0", b"\xff\0", "binary"), ("", b"", "string")],
)
def test_a_value_that_is_text_or_bytes_is_the_payload(body: Any, payload: bytes, kind: str) -> None:
    raw = encoded(body=body)
    made = delivery(raw, "orders", known=True)
    assert made.payload == payload
    assert ("amqp.body", kind) in made.headers
    assert again(raw).body == body


@pytest.mark.parametrize("body", [{"a": int32(1)}, [1, "b"], 7, True], ids=repr)
def test_any_other_body_is_kept_as_it_was_encoded(body: Any) -> None:
    raw = encoded(body=body)
    made = delivery(raw, "orders", known=True)
    assert made.payload in raw
    assert dict(made.headers)["amqp.body"] == "sections"
    assert repr(again(raw).body) == repr(body)


def test_a_body_of_several_sections_keeps_them() -> None:
    whole = b"\x00Su\xa0\x01a\x00Su\xa0\x02bc"
    made = delivery(whole, "orders", known=True)
    assert made.payload == whole
    assert dict(made.headers)["amqp.value"] == [b"a", b"bc"]
    message = contract.Message(made.payload, headers=made.headers)
    assert encode(message, "orders").endswith(whole)


def test_what_was_read_from_headers_and_payload_is_not_set_as_a_property() -> None:
    raw = encoded(
        body=b'{"type": "Paid", "id": "p-1"}', inferred=True, properties={"correlation-id": "c-1"}
    )
    made = delivery(raw, "orders", known=True)
    assert (made.type, made.correlation_id, made.message_id) == ("Paid", "c-1", "p-1")
    after = again(raw)
    assert (after.subject, after.correlation_id, after.id) == (None, None, None)


def test_an_edited_type_is_set() -> None:
    made = delivery(encoded(body=b'{"type": "Paid"}', inferred=True), "orders", known=True)
    edited = contract.Message(made.payload, type="Refunded", headers=made.headers)
    assert _decoded(encode(edited, "orders")).subject == "Refunded"


def test_an_expiry_that_is_over_is_not_put_back() -> None:
    """The broker would drop the message on arrival, and a dead letter could never be replayed."""
    raw = encoded(body=b"x", inferred=True, expiry_time=1_000.0)
    assert dict(delivery(raw, "orders", known=True).headers)["amqp.absolute-expiry"]
    assert again(raw).expiry_time == 0


@pytest.mark.parametrize(
    ("to", "subscribed", "destination"),
    [
        ("topic://orders.eu", "topic://orders.>", "topic://orders.eu"),
        ("orders.eu", "topic://orders.#", "topic://orders.eu"),
        (None, "topic://orders.>", "topic://orders.>"),
    ],
)
def test_a_wildcard_tells_the_topic_where_the_sender_did(
    to: str | None, subscribed: str, destination: str
) -> None:
    raw = encoded(body=b"x", inferred=True, address=to)
    assert delivery(raw, subscribed).destination == destination


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=60))
def test_no_bytes_are_too_odd(raw: bytes) -> None:
    made = delivery(raw, "orders", known=True)
    assert made.destination == "orders"


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(1, 200), flip=st.integers(0, 199))
def test_a_broken_message_is_a_delivery_too(cut: int, flip: int) -> None:
    raw = bytearray(
        encoded(body={"a": [1, "b"]}, properties={"n": int32(1), "m": {"k": "v"}}, id="id-1")
    )
    raw[flip % len(raw)] ^= 0x55
    delivery(bytes(raw[:cut]), "orders", known=True)


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
        | st.binary(max_size=300),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(st.text("abc", min_size=1), inner, max_size=5)
        ),
        max_leaves=20,
    )
)
def test_what_is_written_is_read(value: Any) -> None:
    raw = encoding.write(value)
    assert read(raw, 0) == (value, len(raw))
    assert read_typed(raw, 0)[2] is None
