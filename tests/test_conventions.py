"""What producers and frameworks write into headers and payloads is understood."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.conventions import NO_ENVELOPE, Envelope, envelope, header_correlation, header_type
from collectors.failures import Failure, failure
from eventhub.events.headers import HeaderValue

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ce_type": "order.placed"}, "order.placed"),
        ({"ce_type": b"order.placed"}, "order.placed"),
        ({"__TypeId__": "com.example.Order"}, "com.example.Order"),
        ({"NServiceBus.EnclosedMessageTypes": "Shop.Placed, Shop;Shop.Event, Shop"}, "Shop.Placed"),
        ({"MT-MessageType": "urn:message:Shop:Placed;urn:message:Shop:Event"},
         "urn:message:Shop:Placed"),
        ({"ce_type": b"\xff"}, None),
        ({"ce_type": ""}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_type_by_headers(headers: Mapping[str, HeaderValue], expected: str | None) -> None:
    assert header_type(headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"correlation-id": "c-1", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, "c-1"),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01".encode()}, TRACE),
        ({"traceparent": "not one"}, None),
        ({"correlationId": 7}, None),
    ],
)
def test_the_correlation_by_headers(
    headers: Mapping[str, HeaderValue], expected: str | None
) -> None:
    assert header_correlation(headers) == expected


def test_the_envelope_of_a_cloud_event() -> None:
    payload = b'{"type": "placed", "id": "1", "time": "2026-01-02T03:04:05Z", "specversion": "1.0"}'
    assert envelope(payload) == Envelope("placed", None, "1", 1767323045000)


@given(st.binary(max_size=200))
def test_an_envelope_never_fails(payload: bytes) -> None:
    envelope(b"{" + payload)
    if payload[:1] != b"{":
        assert envelope(payload) is NO_ENVELOPE


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "kafka_dlt-original-topic": b"orders",
                "kafka_dlt-original-offset": (42).to_bytes(8, "big"),
                "kafka_dlt-exception-fqcn": b"java.lang.IllegalStateException",
                "kafka_dlt-exception-message": b"no stock",
                "kafka_dlt-exception-stacktrace": b"at Shop",
                "kafka_deliveryAttempt": (3).to_bytes(4, "big"),
            },
            Failure("orders", None, 3, None, "java.lang.IllegalStateException", "no stock",
                    "at Shop"),
        ),
        (
            {
                "__connect.errors.topic": b"orders",
                "__connect.errors.stage": b"VALUE_CONVERTER",
                "__connect.errors.exception.class.name": b"DataException",
            },
            Failure("orders", "VALUE_CONVERTER", exception="DataException"),
        ),
        (
            {
                "NServiceBus.FailedQ": "orders",
                "NServiceBus.ExceptionInfo.ExceptionType": "System.Exception",
                "NServiceBus.TimeOfFailure": "2026-01-02 03:04:05:678000 Z",
            },
            Failure("orders", died_at=1767323045678, exception="System.Exception"),
        ),
        (
            {
                "MT-Fault-InputAddress": "rabbitmq://broker/shop/orders?durable=true",
                "MT-Fault-ExceptionType": "System.Exception",
                "MT-Fault-RetryCount": "4",
                "MT-Fault-Timestamp": "2026-01-02T03:04:05Z",
                "MT-Reason": "fault",
            },
            Failure("orders", "fault", 4, 1767323045000, "System.Exception"),
        ),
        ({"kafka_dlt-original-topic": b"orders", "kafka_deliveryAttempt": b"\xff" * 9},
         Failure("orders")),
        ({}, Failure()),
    ],
)  # fmt: skip
def test_why_a_message_died(headers: Mapping[str, HeaderValue], expected: Failure) -> None:
    assert failure(headers) == expected
