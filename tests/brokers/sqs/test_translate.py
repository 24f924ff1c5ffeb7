"""Messages and attributes, both ways, without a broker."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.sqs.attributes import Unwritable, read_attribute, size_of, to_attributes
from collectors.sqs.translate import Place, delivery
from eventhub.events.headers import Header, HeaderValue

PLACE = Place("orders")
TAP = Place("tap", unwraps=True)

names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True).filter(
    lambda name: not name.lower().startswith(("aws.", "amazon."))
)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=1, max_size=30)
labels = st.sampled_from(["", ".money", ".a.b"])
attributes = st.one_of(
    st.tuples(labels.map("String".__add__), texts),
    st.tuples(labels.map("Binary".__add__), st.binary(min_size=1, max_size=30)),
    st.tuples(
        labels.map("Number".__add__),
        st.integers().map(str) | st.decimals(allow_nan=False, allow_infinity=False).map(str)
        | st.sampled_from(["007", "1e3", "+5", "1.50", "-0", "0.0", ".5", "9" * 38]),
    ),
)  # fmt: skip


def sent(attributes: dict[str, tuple[str, Any]], body: str = "x", **system: str) -> dict[str, Any]:
    """A message as ReceiveMessage gives it."""
    return {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": body,
        "Attributes": {"SentTimestamp": "1700000000123", "ApproximateReceiveCount": "1"} | system,
        "MessageAttributes": {
            name: {"DataType": label} | _value(value) for name, (label, value) in attributes.items()
        },
    }


def _value(value: str | bytes) -> dict[str, str | bytes]:
    return {"BinaryValue": value} if isinstance(value, bytes) else {"StringValue": value}


@given(st.dictionaries(names, attributes, max_size=10))
def test_every_attribute_is_written_as_it_was_read(told: dict[str, tuple[str, Any]]) -> None:
    read = delivery(sent(told), PLACE).headers
    assert to_attributes(read) == sent(told)["MessageAttributes"]


@given(st.dictionaries(names, attributes, max_size=10))
def test_an_envelopes_attributes_are_the_same_headers(told: dict[str, tuple[str, Any]]) -> None:
    inside = {
        name: {
            "Type": label,
            "Value": base64.b64encode(value).decode() if isinstance(value, bytes) else value,
        }
        for name, (label, value) in told.items()
    }
    wrapped = envelope(MessageAttributes=inside)
    assert delivery(sent({}, wrapped), TAP).headers == delivery(sent(told), PLACE).headers


def envelope(**more: Any) -> str:
    plain = {
        "Type": "Notification",
        "MessageId": "sns-id",
        "TopicArn": "arn:aws:sns:eu-west-1:1:orders",
        "Message": "Grüße",
        "Timestamp": "2023-11-14T22:13:20.456Z",
        "SignatureVersion": "1",
    }
    return json.dumps(plain | more)


def test_an_envelope_is_opened_in_a_tap_and_nowhere_else() -> None:
    message = sent({}, envelope(Subject="News"), MessageGroupId="eu")
    opened = delivery(message, TAP)
    assert opened.payload == "Grüße".encode()
    assert opened.destination == "arn:aws:sns:eu-west-1:1:orders"
    assert (opened.position, opened.message_id) == ("sns-id", "sns-id")
    assert opened.broker_time == 1_700_000_000_456
    assert opened.key == "eu"
    assert ("sns.Subject", "News") in opened.headers
    whole = delivery(message, PLACE)
    assert whole.payload == message["Body"].encode()
    assert (whole.destination, whole.position) == ("orders", "m")


@pytest.mark.parametrize(
    "body",
    [
        '{"Type": "Notification"}',
        envelope(Type="SubscriptionConfirmation"),
        envelope()[:-1],
        '{"Message": 7, "Type": "Notification", "MessageId": "", "TopicArn": ""}',
        "{" * 10_000,
    ],
)
def test_what_is_no_envelope_arrives_as_it_is(body: str) -> None:
    got = delivery(sent({}, body), TAP)
    assert (got.payload, got.destination) == (body.encode(), "tap")


def test_system_attributes_fill_the_fields() -> None:
    system = {
        "MessageGroupId": "eu", "MessageDeduplicationId": "d", "SequenceNumber": "18",
        "SenderId": "AIDA", "AWSTraceHeader": "Root=1-5759e988", "ApproximateReceiveCount": "3",
    }  # fmt: skip
    got = delivery(sent({}, **system), PLACE)
    assert (got.key, got.redelivered, got.broker_time) == ("eu", True, 1_700_000_000_123)
    assert got.headers == [
        ("sqs.SenderId", "AIDA"),
        ("sqs.MessageDeduplicationId", "d"),
        ("sqs.SequenceNumber", "18"),
        ("sqs.AWSTraceHeader", "Root=1-5759e988"),
    ]


@pytest.mark.parametrize(
    ("attributes", "body", "field", "value"),
    [
        ({"ce_type": ("String", "a.b")}, "x", "type", "a.b"),
        ({"JavaType": ("String", "com.acme.Order")}, "x", "type", "com.acme.Order"),
        ({}, '{"type": "Paid"}', "type", "Paid"),
        ({"JMS_SQSCorrelationID": ("String", "c")}, "x", "correlation_id", "c"),
        ({"correlationId": ("String", "c")}, "x", "correlation_id", "c"),
        ({}, '{"correlation_id": "c"}', "correlation_id", "c"),
        ({"contentType": ("String", "application/json")}, "x", "content_type", "application/json"),
        ({}, '{"time": 1700000000}', "event_time", 1_700_000_000_000),
    ],
)
def test_conventions_of_producers_fill_the_fields(
    attributes: dict[str, tuple[str, Any]], body: str, field: str, value: object
) -> None:
    assert getattr(delivery(sent(attributes, body), PLACE), field) == value


@pytest.mark.parametrize(
    ("label", "text", "headers"),
    [
        ("Number", "7", [("n", 7)]),
        ("Number", "1.50", [("n", Decimal("1.50"))]),
        ("Number.money", "7", [("n", 7), ("sqs.type.n", "Number.money")]),
        ("Number", "007", [("n", "007"), ("sqs.type.n", "Number")]),
        ("String.Array", '["a"]', [("n", '["a"]'), ("sqs.type.n", "String.Array")]),
    ],
)
def test_a_type_of_its_own_is_remembered(label: str, text: str, headers: list[Header]) -> None:
    assert read_attribute("n", label, text) == headers


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([("flag", True)], "'flag' is no text, number or bytes"),
        ([("none", None)], "'none'"),
        ([("list", ["a"])], "'list'"),
        ([("empty", "")], "'empty' is empty"),
        ([("nul", "a\0")], "'nul'"),
        ([("a b", "x")], "'a b'"),
        ([("AWS.x", "x")], "'AWS.x'"),
        ([("a..b", "x")], "'a..b'"),
        ([("a", "x"), ("a", "y")], "'a' is there twice"),
        ([(f"h{n}", "x") for n in range(11)], "11 headers"),
    ],
)
def test_what_sqs_cannot_carry_is_refused_by_name(
    headers: list[tuple[str, HeaderValue]], words: str
) -> None:
    with pytest.raises(Unwritable, match=words):
        to_attributes(headers)


def test_attributes_count_towards_the_size() -> None:
    assert size_of(to_attributes([("ab", "Grüße")])) == 2 + len("String") + 7
