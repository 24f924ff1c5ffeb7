"""What is read out of the payload of a Redis message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.redis_pubsub.translate import to_delivery
from eventhub.brokers.contract import Delivery


def looked_into(**fields: object) -> tuple[object, ...]:
    delivery = to_delivery(b"orders", json.dumps(fields).encode())
    return delivery.type, delivery.correlation_id, delivery.message_id, delivery.event_time


def test_a_structured_cloud_event() -> None:
    found = looked_into(
        specversion="1.0",
        type="OrderPlaced",
        id="A-1",
        source="/shop",
        correlationid="corr-1",
        time="2026-01-02T03:04:05.678Z",
        data={"type": "not this", "id": "nor this"},
    )
    assert found == ("OrderPlaced", "corr-1", "A-1", 1767323045678)


@pytest.mark.parametrize("name", ["type", "event", "event_type", "eventType"])
def test_the_usual_names_of_a_type(name: str) -> None:
    assert looked_into(**{name: "OrderPlaced"})[0] == "OrderPlaced"


@pytest.mark.parametrize("name", ["correlation_id", "correlationId", "correlationid"])
def test_the_usual_names_of_a_correlation_id(name: str) -> None:
    assert looked_into(**{name: "corr-1"})[1] == "corr-1"


@pytest.mark.parametrize("name", ["id", "message_id", "messageId", "event_id", "eventId"])
def test_the_usual_names_of_a_message_id(name: str) -> None:
    assert looked_into(**{name: 42})[2] == "42"


@pytest.mark.parametrize(
    ("time", "milliseconds"),
    [
        ("2026-01-02T03:04:05+02:00", 1767315845000),
        ("2026-01-02T03:04:05", 1767323045000),
        (1767323045, 1767323045000),
        (1767323045.5, 1767323045500),
        (1767323045678, 1767323045678),
        ("yesterday", None),
        (True, None),
        (None, None),
    ],
)
def test_times(time: object, milliseconds: int | None) -> None:
    assert looked_into(timestamp=time)[3] == milliseconds


def test_a_field_of_another_type_hides_no_other() -> None:
    found = looked_into(type={"nested": True}, event="OrderPlaced", id=[1], correlation_id=None)
    assert found[:3] == ("OrderPlaced", None, None)


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"{}",
        b'{"type": "\xff"}',
        b'{"type": "a", "type": ',
        b'{"id": 1' + b"0" * 6_000 + b"}",
        b'{"time": 1e999}',
        b'{"a":' * 10_000,
        b'{"type": "' + b"x" * 70_000 + b'"}',
        b'[{"type": "a"}]',
        b' {"type": "a"}',
        b'{"time": "0001-01-01T00:00:00+23:59"}',
        b'{"time": "9999-12-31T23:59:59-23:59"}',
    ],
)
def test_odd_payloads_are_delivered_as_they_are(payload: bytes) -> None:
    delivery = to_delivery(b"orders", payload)
    assert (delivery.destination, delivery.payload, delivery.type) == ("orders", payload, None)


def test_of_duplicate_keys_the_last_counts() -> None:
    assert to_delivery(b"orders", b'{"type": "a", "type": "b"}').type == "b"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["type", "id", "time", "timestamp", "x"]), json_values),
    st.binary(max_size=20),
)
def test_nothing_makes_it_fail(fields: dict[str, object], channel: bytes) -> None:
    delivery = to_delivery(channel, json.dumps(fields).encode())
    assert isinstance(delivery, Delivery)
    assert delivery.destination.encode("utf-8", "surrogateescape") == channel
