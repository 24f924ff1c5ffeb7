"""A Kafka record as a delivery, and a message as a Kafka record.

Kafka's headers are names with bytes or null. Bytes that are UTF-8 become text: written back they
are the same bytes. A null value (a tombstone) is told from an empty one by the header
`kafka.tombstone`, whose value is a true that no record can carry.
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from collectors.conventions import (
    NO_ENVELOPE,
    Known,
    envelope,
    header_correlation,
    header_type,
    known,
)
from eventhub.brokers.contract import Delivery, Message
from eventhub.events.headers import Header, HeaderValue, header_text
from eventhub.events.text import text_or_bytes

__all__ = ["TOMBSTONE", "record_headers", "record_key", "record_value", "to_delivery"]

TOMBSTONE: Final = "kafka.tombstone"
_CONTENT_TYPE: Final = ("content-type", "contentType", "Content-Type", "content_type")
_MESSAGE_ID: Final = ("ce_id", "message-id", "messageId", "message_id", "id", "kafka_messageId")


def to_delivery(record: Any) -> Delivery:
    """`record` is a `confluent_kafka.Message` without error."""
    payload = record.value()
    raw = record.headers()
    clock, moment = record.timestamp()
    headers: list[Header] | tuple[()] = ()
    type_ = correlation = message_id = content_type = None
    if raw:
        try:  # all are texts, nearly always
            headers = [(name, value.decode()) for name, value in raw]
        except (UnicodeDecodeError, AttributeError):
            headers = [(name, _text(value)) for name, value in raw]
        named = dict(headers)
        places = _places(tuple(named))
        if places is not None:
            type_ = header_type(named, places.known.type)
            correlation = header_correlation(named, places.known.correlation)
            content_type = _told(named, places.content_type)
            message_id = _told(named, places.message_id)
    if payload is None:
        payload = b""
        headers = [*headers, (TOMBSTONE, True)]
    told = envelope(payload) if not (type_ and correlation and message_id) else NO_ENVELOPE
    return Delivery(
        record.topic(),
        payload,
        key=_text(record.key()),
        type=type_ or told.type,
        correlation_id=correlation or told.correlation_id,
        message_id=message_id or told.message_id,
        content_type=content_type,
        headers=headers,
        position=f"{record.partition()}/{record.offset()}",
        event_time=moment if clock == TIMESTAMP_CREATE_TIME else told.event_time,
        broker_time=moment if clock == TIMESTAMP_LOG_APPEND_TIME else None,
    )


def record_headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    """Numbers, dates and tables of other brokers become their text."""
    return [
        (name, _bytes(value))
        for name, value in message.headers
        if not (name == TOMBSTONE and value is True)
    ]


def record_value(message: Message) -> bytes | None:
    buried = not message.payload and (TOMBSTONE, True) in message.headers
    return None if buried else message.payload


def record_key(message: Message) -> bytes | None:
    return message.key.encode() if isinstance(message.key, str) else message.key


def _text(value: bytes | None) -> str | bytes | None:
    return None if value is None else text_or_bytes(value)


def _bytes(value: HeaderValue) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return header_text(value).encode()


def _told(named: dict[str, HeaderValue], name: str | None) -> str | None:
    if name is None:
        return None
    value = named[name]
    return value if isinstance(value, str) and value else None


class _Places(NamedTuple):
    """What to look for in headers of some names."""

    known: Known
    content_type: str | None
    message_id: str | None


_NOWHERE: Final = _Places(Known((), ()), None, None)


@lru_cache(maxsize=1024)
def _places(names: tuple[str, ...]) -> _Places | None:
    """None where no name is a convention's."""
    found = _Places(
        known(names),
        next((name for name in _CONTENT_TYPE if name in names), None),
        next((name for name in _MESSAGE_ID if name in names), None),
    )
    return None if found == _NOWHERE else found
