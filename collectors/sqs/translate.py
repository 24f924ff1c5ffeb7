"""A message of SQS as a delivery, taken out of SNS's envelope where it is in one.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Message.html
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from collectors.conventions import envelope, header_correlation, header_type
from collectors.sqs.attributes import read_attribute
from eventhub.brokers.contract import Delivery
from eventhub.events.headers import Header, HeaderValue

__all__ = ["BROKERS_OWN", "DEDUPLICATION", "SUBJECT", "TRACE", "Place", "delivery", "is_ours"]

DEDUPLICATION: Final = "sqs.MessageDeduplicationId"
TRACE: Final = "sqs.AWSTraceHeader"
SUBJECT: Final = "sns.Subject"
BROKERS_OWN: Final = frozenset(
    ("sqs.SenderId", "sqs.SequenceNumber", "sqs.DeadLetterQueueSourceArn", "sns.SequenceNumber")
)
"""Headers that tell what the broker added; it adds its own again to what is published."""
_KEPT: Final = (
    ("SenderId", "sqs.SenderId"),
    ("MessageDeduplicationId", DEDUPLICATION),
    ("SequenceNumber", "sqs.SequenceNumber"),
    ("AWSTraceHeader", TRACE),
    ("DeadLetterQueueSourceArn", "sqs.DeadLetterQueueSourceArn"),
)


class Place(msgspec.Struct, frozen=True):
    """Where messages of a queue come from."""

    name: str
    """The destination of what does not tell another."""
    unwraps: bool = False
    """Whether a message in SNS's envelope is the message inside. Only of a tap: a consumer's
    queue gets the envelope, and a replay must send it so."""
    is_bus: bool = False
    """Whether `name` is an EventBridge bus."""


class _Attribute(msgspec.Struct):
    Type: str
    Value: str


class _Envelope(msgspec.Struct):
    Type: str
    MessageId: str
    TopicArn: str
    Message: str
    Timestamp: str = ""
    Subject: str | None = None
    SequenceNumber: str | None = None
    MessageAttributes: dict[str, _Attribute] | None = None


class _BusEvent(msgspec.Struct):
    detail_type: str = msgspec.field(name="detail-type")
    id: str
    time: str


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_event: Final = msgspec.json.Decoder(_BusEvent).decode


def delivery(message: Mapping[str, Any], place: Place) -> Delivery:
    """Never fails: what is in no envelope, or in a broken one, is delivered as it is."""
    body: str = message["Body"]
    if place.unwraps and body[:1] == "{":
        wrapped = _wrapped(body)
        if wrapped is not None:
            return _unwrapped(message, wrapped)
    headers: list[Header] = []
    for name, attribute in message.get("MessageAttributes", {}).items():
        value = attribute.get("BinaryValue", attribute.get("StringValue", ""))
        headers += read_attribute(name, attribute["DataType"], value)
    system = message.get("Attributes", {})
    payload = body.encode("utf-8", "surrogatepass")
    made = _told(place.name, payload, headers, system, message["MessageId"], message["MessageId"])
    return _of_bus(made, body) if place.is_bus else made


def is_ours(name: str) -> bool:
    """Whether a header stands for something else than a message attribute."""
    return name in BROKERS_OWN or name in (DEDUPLICATION, TRACE, SUBJECT)


def _told(
    destination: str,
    payload: bytes,
    headers: list[Header],
    system: Mapping[str, str],
    position: str,
    message_id: str,
    broker_time: int | None = None,
) -> Delivery:
    plain: dict[str, HeaderValue] = dict(headers)
    told = envelope(payload)
    for attribute, name in _KEPT:
        if attribute in system:
            headers.append((name, system[attribute]))
    return Delivery(
        destination,
        payload,
        key=system.get("MessageGroupId"),
        type=header_type(plain) or _text(plain, "JavaType") or told.type,
        # JMS over SQS: https://github.com/awslabs/amazon-sqs-java-messaging-lib
        correlation_id=header_correlation(plain)
        or _text(plain, "JMS_SQSCorrelationID")
        or told.correlation_id,
        message_id=message_id,
        content_type=_text(plain, "contentType") or _text(plain, "content-type"),
        headers=headers,
        position=position,
        redelivered=int(system.get("ApproximateReceiveCount", 1)) > 1,
        event_time=told.event_time,
        broker_time=broker_time or _stamp(system.get("SentTimestamp")),
    )


def _wrapped(body: str) -> _Envelope | None:
    try:
        found = _decode_envelope(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found if found.Type == "Notification" else None


def _unwrapped(message: Mapping[str, Any], wrapped: _Envelope) -> Delivery:
    """SNS's own message id is the position: SNS delivers at least once, each time as another
    message of SQS."""
    headers: list[Header] = []
    for name, attribute in (wrapped.MessageAttributes or {}).items():
        try:
            binary = attribute.Type.startswith("Binary")
            value = base64.b64decode(attribute.Value) if binary else attribute.Value
        except ValueError:
            value = attribute.Value
        headers += read_attribute(name, attribute.Type, value)
    if wrapped.Subject is not None:
        headers.append((SUBJECT, wrapped.Subject))
    if wrapped.SequenceNumber is not None:
        headers.append(("sns.SequenceNumber", wrapped.SequenceNumber))
    return _told(
        wrapped.TopicArn,
        wrapped.Message.encode("utf-8", "surrogatepass"),
        headers,
        message.get("Attributes", {}),
        wrapped.MessageId,
        wrapped.MessageId,
        _moment(wrapped.Timestamp),
    )


def _of_bus(made: Delivery, body: str) -> Delivery:
    """EventBridge's event stays the payload; what it says of itself fills the fields."""
    try:
        event = _decode_event(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return made
    return msgspec.structs.replace(
        made, type=event.detail_type, message_id=event.id, event_time=_moment(event.time)
    )


def _moment(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _stamp(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _text(headers: Mapping[str, HeaderValue], name: str) -> str | None:
    value = headers.get(name)
    return value if isinstance(value, str) else None
