"""Messages of Service Bus to deliveries, and messages to publish back to its properties.

Which AMQP field is which property of Service Bus: the tables in
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#messages.
Properties for which an event has no field travel as headers named `servicebus.…`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from azure.servicebus.amqp import (
    AmqpAnnotatedMessage,
    AmqpMessageHeader,
    AmqpMessageProperties,
)

from collectors.azure_service_bus import properties
from collectors.azure_service_bus.properties import Unwritable
from collectors.conventions import envelope, header_correlation, header_type
from eventhub.brokers.contract import Delivery, Message
from eventhub.events.headers import Header, HeaderValue
from eventhub.events.text import text_or_bytes

__all__ = ["Incoming", "Outgoing", "Unwritable", "delivery", "outgoing"]

_PREFIX: Final = "servicebus."
_PARTITION_KEY: Final = "x-opt-partition-key"
_SCHEDULED: Final = "x-opt-scheduled-enqueue-time"
_PARTITION_KEY_BYTES: Final = _PARTITION_KEY.encode()
_SCHEDULED_BYTES: Final = _SCHEDULED.encode()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CHARACTERS: Final = 128
"""Of message ids, session ids and partition keys."""
_PUT_BACK: Final[dict[str, type]] = {
    "to": str, "reply_to": str, "session_id": str, "reply_to_session_id": str,
    "partition_key": str, "time_to_live": int, "scheduled_enqueue_time": datetime,
    "body": str, "types": dict,
}  # fmt: skip
_ONLY_TOLD: Final = ("dead_letter_source", "enqueued_sequence_number")
_TTL: Final = range(1, 2**32)


class Incoming(NamedTuple):
    """A message as the SDK decoded it, and the bytes that it decoded."""

    message: Any
    """The SDK's `Message`, a tuple of sections."""
    raw: memoryview
    """The beginning of the encoded message at least."""

    @property
    def sequence_number(self) -> int:
        number: int = self.message.message_annotations[b"x-opt-sequence-number"]
        return number

    @property
    def delivery_count(self) -> int:
        """How often it was given out before in vain; the broker leaves 0 out."""
        header = self.message.header
        return (header.delivery_count or 0) if header else 0

    @property
    def enqueued(self) -> int | None:
        """Milliseconds since 1970."""
        time: int | None = (self.message.message_annotations or {}).get(b"x-opt-enqueued-time")
        return time


def delivery(incoming: Incoming, destination: str) -> Delivery:
    message = incoming.message
    told = message.properties
    headers, named = _headers(incoming)
    payload, is_value = _payload(message)
    if is_value:
        headers.append((f"{_PREFIX}body", "value"))
    inside = envelope(payload)
    partition_key = _text((message.message_annotations or {}).get(_PARTITION_KEY_BYTES))
    return Delivery(
        destination=destination,
        payload=payload,
        key=(_text(told.group_id) if told else None) or partition_key,
        type=(_text(told.subject) if told else None) or header_type(named) or inside.type,
        correlation_id=(_text(told.correlation_id) if told else None)
        or header_correlation(named)
        or inside.correlation_id,
        message_id=(_text(told.message_id) if told else None) or inside.message_id,
        content_type=_text(told.content_type) if told else None,
        content_encoding=_text(told.content_encoding) if told else None,
        headers=headers,
        position=str(incoming.sequence_number),
        redelivered=incoming.delivery_count > 0,
        event_time=(told.creation_time if told else None) or inside.event_time,
        broker_time=incoming.enqueued,
    )


def _headers(incoming: Incoming) -> tuple[list[Header], Mapping[str, HeaderValue]]:
    """All headers, and the application properties by name."""
    found = properties.read(incoming.raw)
    if found is None:  # the section is longer than the first frame: what the SDK made of it
        own = incoming.message.application_properties or {}
        headers: list[Header] = [(_text(name) or "", _plain(own[name])) for name in own]
        kinds: dict[str, HeaderValue] = {}
    else:
        headers, kinds = found
    named = dict(headers) if headers else {}
    if kinds:
        headers.append((f"{_PREFIX}types", kinds))
    for name, value in _told(incoming.message):
        if value is not None:
            headers.append((_PREFIX + name, value))
    return headers, named


def _told(message: Any) -> Iterator[Header]:
    """The broker's own properties that no field of an event has."""
    told, annotations = message.properties, message.message_annotations or {}
    if message.header and message.header.ttl:
        yield "time_to_live", message.header.ttl
    if told:
        yield "to", _text(told.to)
        yield "reply_to", _text(told.reply_to)
        yield "session_id", _text(told.group_id)
        yield "reply_to_session_id", _text(told.reply_to_group_id)
    yield "partition_key", _text(annotations.get(_PARTITION_KEY_BYTES))
    yield "dead_letter_source", _text(annotations.get(b"x-opt-deadletter-source"))
    yield "enqueued_sequence_number", annotations.get(b"x-opt-enqueue-sequence-number")
    if _SCHEDULED_BYTES in annotations:
        moment = timedelta(milliseconds=annotations[_SCHEDULED_BYTES])
        yield "scheduled_enqueue_time", _EPOCH + moment


def _payload(message: Any) -> tuple[bytes, bool]:
    """The body, and whether it was an AMQP value rather than data.

    Of a value that is no text or bytes, and of sequences, it is the JSON.
    """
    if message.data is not None:
        data = message.data
        return (data if isinstance(data, bytes) else b"".join(data)), False
    body = message.value if message.value is not None else message.sequence
    if body is None:
        return b"", False
    if isinstance(body, bytes | str):
        return (body if isinstance(body, bytes) else body.encode()), True
    return msgspec.json.encode(body, enc_hook=str), False


def _text(value: Any) -> str | None:
    """The SDK gives texts as bytes; ids may be numbers and UUIDs."""
    if value is None:
        return None
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> HeaderValue:
    if isinstance(value, bytes):
        return text_or_bytes(value)
    return value if isinstance(value, bool | int | float | None) else str(value)


class Outgoing(NamedTuple):
    message: AmqpAnnotatedMessage
    goes_with: tuple[str | None, str | None]
    """Messages whose session id or partition key differ may not share a batch."""


def outgoing(message: Message) -> Outgoing:
    """Raises Unwritable for what Service Bus cannot carry."""
    own, kept = _split(message.headers)
    key = message.key.decode("utf-8", "replace") if isinstance(message.key, bytes) else message.key
    partition_key = kept.get("partition_key")
    # An entity without sessions takes a session id for its partition key.
    session = kept.get("session_id") or (None if partition_key else key or None)
    for name, text in (
        ("message id", message.message_id),
        ("session id", session),
        ("partition key", partition_key),
    ):
        if text is not None and len(text) > _MOST_CHARACTERS:
            raise Unwritable(f"the {name} has more than {_MOST_CHARACTERS} characters")
    annotations: dict[str, Any] = {}
    if partition_key:
        annotations[_PARTITION_KEY] = partition_key
    if "scheduled_enqueue_time" in kept:
        milliseconds = (kept["scheduled_enqueue_time"] - _EPOCH) // timedelta(milliseconds=1)
        annotations[_SCHEDULED] = {"TYPE": "TIMESTAMP", "VALUE": milliseconds}
    ttl = kept.get("time_to_live")
    made = AmqpAnnotatedMessage(
        **_body(message.payload, kept.get("body")),
        header=AmqpMessageHeader(time_to_live=ttl) if ttl else None,
        properties=_properties(message, kept, session),
        annotations=annotations or None,
        application_properties=properties.write(own, kept.get("types", {})) or None,
    )
    return Outgoing(made, (session, partition_key))


def _properties(
    message: Message, kept: Mapping[str, Any], session: str | None
) -> AmqpMessageProperties:
    return AmqpMessageProperties(
        message_id=message.message_id,
        to=kept.get("to"),
        subject=message.type,
        reply_to=kept.get("reply_to"),
        correlation_id=message.correlation_id,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        group_id=session,
        reply_to_group_id=kept.get("reply_to_session_id"),
    )


def _body(payload: bytes, kind: str | None) -> dict[str, Any]:
    if kind == "value":
        try:
            return {"value_body": payload.decode()}
        except UnicodeDecodeError:
            return {"value_body": payload}
    return {"data_body": payload}


def _split(headers: Sequence[Header]) -> tuple[list[Header], dict[str, Any]]:
    """Application properties, and the properties of the broker that are put back."""
    own: list[Header] = []
    kept: dict[str, Any] = {}
    for name, value in headers:
        field = name.removeprefix(_PREFIX)
        if field == name:
            own.append((name, value))
        elif type(value) is _PUT_BACK.get(field) and _fits(field, value):
            kept[field] = value
        elif field not in _ONLY_TOLD:
            own.append((name, value))
    return own, kept


def _fits(field: str, value: Any) -> bool:
    if field == "time_to_live":
        return value in _TTL
    return not isinstance(value, datetime) or value.tzinfo is not None
