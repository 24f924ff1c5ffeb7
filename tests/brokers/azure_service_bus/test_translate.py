"""What a message of Service Bus becomes, and that publishing it again gives the same message."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from azure.servicebus._pyamqp._decode import decode_payload
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.amqp import AmqpAnnotatedMessage
from hypothesis import given
from hypothesis import strategies as st

from collectors.azure_service_bus.translate import Incoming, Unwritable, delivery, outgoing
from eventhub.brokers.contract import Delivery, Message

NUMBERED = {"x-opt-sequence-number": 7}
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def encoded(message: AmqpAnnotatedMessage) -> bytes:
    return bytes(encode_payload(bytearray(), PyamqpTransport.to_outgoing_amqp_message(message)))


def received(raw: bytes) -> Delivery:
    """As if the broker had given it a number."""
    message: Any = decode_payload(memoryview(raw))
    annotations = {b"x-opt-sequence-number": 7, **(message.message_annotations or {})}
    numbered = message._replace(message_annotations=annotations)
    return delivery(Incoming(numbered, memoryview(raw)), "orders")


def arrive(**fields: Any) -> Delivery:
    annotations = {**NUMBERED, **fields.pop("annotations", {})}
    body = fields.pop("body", {"data_body": b"{}"})
    return received(encoded(AmqpAnnotatedMessage(annotations=annotations, **body, **fields)))


def again(first: Delivery) -> bytes:
    """What publishing this delivery sends."""
    names = Message.__struct_fields__
    return encoded(outgoing(Message(**{name: getattr(first, name) for name in names})).message)


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("LONG", 7, 7),
        ("ULONG", 2**64 - 1, 2**64 - 1),
        ("UINT", 7, 7),
        ("SHORT", -7, -7),
        ("USHORT", 7, 7),
        ("BYTE", -7, -7),
        ("UBYTE", 7, 7),
        ("FLOAT", 0.5, 0.5),
        ("UUID", uuid.UUID(int=5), str(uuid.UUID(int=5))),
        ("SYMBOL", "text", "text"),
        ("TIMESTAMP", 1_767_323_045_000, WHEN),
        ("DECIMAL128", Decimal("-1.250"), Decimal("-1.250")),
        (
            "DESCRIBED",
            (
                {"TYPE": "SYMBOL", "VALUE": "com.microsoft:timespan"},
                {"TYPE": "LONG", "VALUE": 10_000_000},
            ),
            10_000_000,
        ),
    ],
)
def test_a_property_keeps_its_amqp_type(kind: str, value: object, shown: object) -> None:
    first = arrive(application_properties={"it": {"TYPE": kind, "VALUE": value}})
    assert dict(first.headers)["it"] == shown
    original = encoded(
        AmqpAnnotatedMessage(
            data_body=b"{}", application_properties={"it": {"TYPE": kind, "VALUE": value}}
        )
    )
    assert again(first) == original


def test_an_edited_value_takes_the_type_that_it_needs() -> None:
    first = arrive(application_properties={"n": {"TYPE": "UBYTE", "VALUE": 7}})
    headers = [(name, 700 if name == "n" else value) for name, value in first.headers]
    sent = received(encoded(outgoing(Message(b"", headers=headers)).message))
    assert dict(sent.headers)["n"] == 700
    headers = [(name, "seven" if name == "n" else value) for name, value in first.headers]
    sent = received(encoded(outgoing(Message(b"", headers=headers)).message))
    assert dict(sent.headers)["n"] == "seven"


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=10).filter(lambda name: not name.startswith("servicebus.")),
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | st.text(max_size=300)
        | st.binary(max_size=300)
        | st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20))
        | st.datetimes(timezones=st.just(UTC)).map(lambda t: t.replace(microsecond=0)),
        max_size=8,
    )
)
def test_headers_survive_a_round_trip(values: dict[str, Any]) -> None:
    sent = encoded(outgoing(Message(b"x", headers=list(values.items()))).message)
    arrived = received(sent)
    assert dict(arrived.headers) == values


def test_the_brokers_own_properties_come_as_headers_and_go_back() -> None:
    first = arrive(
        header={"time_to_live": 60_000},
        properties={
            "message_id": "m-1", "correlation_id": "c-1", "subject": "OrderPlaced",
            "content_type": "application/json", "to": "billing", "reply_to": "answers",
            "group_id": "customer-7", "reply_to_group_id": "shop-1",
        },
        annotations={
            "x-opt-partition-key": "customer-7",
            "x-opt-scheduled-enqueue-time": {
                "TYPE": "TIMESTAMP", "VALUE": 1_767_323_045_000,
            },
            "x-opt-enqueued-time": {"TYPE": "TIMESTAMP", "VALUE": 1_767_323_046_000},
        },
    )  # fmt: skip
    assert (first.message_id, first.correlation_id, first.type) == ("m-1", "c-1", "OrderPlaced")
    assert (first.key, first.position, first.broker_time) == ("customer-7", "7", 1_767_323_046_000)
    headers = {name.removeprefix("servicebus."): value for name, value in first.headers}
    assert headers == {
        "to": "billing", "reply_to": "answers", "session_id": "customer-7",
        "reply_to_session_id": "shop-1", "partition_key": "customer-7", "time_to_live": 60_000,
        "scheduled_enqueue_time": WHEN,
    }  # fmt: skip
    sent: Any = decode_payload(memoryview(again(first)))
    assert sent.header.ttl == 60_000
    assert sent.properties.group_id == b"customer-7"
    assert sent.message_annotations[b"x-opt-partition-key"] == b"customer-7"
    assert sent.message_annotations[b"x-opt-scheduled-enqueue-time"] == 1_767_323_045_000
    assert not sent.application_properties


def test_an_amqp_value_goes_back_as_one() -> None:
    first = arrive(body={"value_body": "Grüße"})
    assert first.payload == "Grüße".encode()
    assert decode_payload(memoryview(again(first))).value == "Grüße".encode()


def test_a_sequence_is_shown_as_json() -> None:
    assert arrive(body={"sequence_body": [[1, 2]]}).payload == b"[[1,2]]"


def test_type_and_correlation_come_from_common_headers_too() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    first = arrive(
        application_properties={
            "NServiceBus.EnclosedMessageTypes": "Shop.OrderPlaced, Shop", "traceparent": trace,
        }
    )  # fmt: skip
    assert first.type == "Shop.OrderPlaced"
    assert first.correlation_id == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(b"", headers=[("a", 1), ("a", 2)]), "twice"),
        (Message(b"", headers=[("a", [1])]), "a list or a table"),
        (Message(b"", headers=[("a", 2**64)]), "64 bits"),
        (Message(b"", headers=[("a", Decimal("NaN"))]), "no number"),
        (Message(b"", message_id="x" * 129), "128 characters"),
        (Message(b"", key="x" * 129), "128 characters"),
    ],
)
def test_what_service_bus_cannot_carry_says_so(message: Message, why: str) -> None:
    with pytest.raises(Unwritable, match=why):
        outgoing(message)


def test_messages_of_other_sessions_do_not_share_a_batch() -> None:
    one = outgoing(Message(b"", headers=[("servicebus.session_id", "a")]))
    two = outgoing(Message(b"", headers=[("servicebus.partition_key", "a")]))
    assert one.goes_with == ("a", None)
    assert two.goes_with == (None, "a")


@pytest.mark.parametrize(
    ("message", "session"),
    [
        (Message(b"", key="a"), b"a"),
        (Message(b"", key=b"a"), b"a"),
        (Message(b"", key="a", headers=[("servicebus.session_id", "s")]), b"s"),
        (Message(b"", key="p", headers=[("servicebus.partition_key", "p")]), None),
        (Message(b"", key=""), None),
        (Message(b""), None),
    ],
)
def test_a_key_becomes_the_session_id_unless_the_original_had_none(
    message: Message, session: bytes | None
) -> None:
    sent: Any = decode_payload(memoryview(encoded(outgoing(message).message)))
    assert (sent.properties.group_id if sent.properties else None) == session


def test_a_long_property_section_that_spans_frames_is_still_read() -> None:
    raw = encoded(
        AmqpAnnotatedMessage(
            data_body=b"x", annotations=NUMBERED, application_properties={"long": "x" * 9_000}
        )
    )
    cut = delivery(Incoming(decode_payload(memoryview(raw)), memoryview(raw)[:100]), "orders")
    assert dict(cut.headers)["long"] == "x" * 9_000


def test_times_before_1970_and_beyond_python_are_no_error() -> None:
    for milliseconds in (-1, 2**62):
        first = arrive(application_properties={"t": {"TYPE": "TIMESTAMP", "VALUE": milliseconds}})
        value = dict(first.headers)["t"]
        assert value in (milliseconds, WHEN.replace(year=1970, month=1, day=1, hour=0, minute=0,
                         second=0) - timedelta(milliseconds=1))  # fmt: skip
