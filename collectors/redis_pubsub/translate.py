"""A Pub/Sub message as a delivery.

Redis Pub/Sub carries a channel and bytes, no headers. Producers therefore put what other brokers
have as properties into the payload, most often a JSON object. Its usual top-level fields are
looked at, and only those: CloudEvents' (https://github.com/cloudevents/spec, structured mode) and
the common plain ones. About 0.7 microseconds for a payload of 1 KB.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from eventhub.brokers.contract import Delivery

__all__ = ["channel_bytes", "channel_text", "to_delivery"]

LARGEST_LOOKED_INTO: Final = 64 * 1024
"""Bytes of payload above which its fields are not looked for."""


class _Envelope(msgspec.Struct, gc=False):
    # `object`: a field of another type than expected must not hide the others.
    type: object = None
    event: object = None
    event_type: object = None
    eventType: object = None
    id: object = None
    message_id: object = None
    messageId: object = None
    event_id: object = None
    eventId: object = None
    correlation_id: object = None
    correlationId: object = None
    correlationid: object = None
    time: object = None
    timestamp: object = None


_decode = msgspec.json.Decoder(_Envelope).decode


def to_delivery(channel: bytes, payload: bytes) -> Delivery:
    """Never fails: a payload that is no JSON object is a delivery without those fields."""
    destination = channel_text(channel)
    if payload[:1] != b"{" or len(payload) > LARGEST_LOOKED_INTO:
        return Delivery(destination, payload)
    try:
        envelope = _decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Delivery(destination, payload)
    return Delivery(
        destination,
        payload,
        type=_first(envelope.type, envelope.event, envelope.event_type, envelope.eventType),
        correlation_id=_first(
            envelope.correlation_id, envelope.correlationId, envelope.correlationid
        ),
        message_id=_first(
            envelope.id,
            envelope.message_id,
            envelope.messageId,
            envelope.event_id,
            envelope.eventId,
        ),
        event_time=_time(envelope.time) or _time(envelope.timestamp),
    )


def channel_text(channel: bytes) -> str:
    """The name of a channel; bytes that are not UTF-8 survive the way back."""
    return channel.decode("utf-8", "surrogateescape")


def channel_bytes(text: str) -> bytes:
    """The inverse of `channel_text`."""
    return text.encode("utf-8", "surrogateescape")


def _first(*values: object) -> str | None:
    """The first that is a text or a whole number."""
    for value in values:
        if type(value) is str:
            if value:
                return value
        elif type(value) is int:
            return str(value)
    return None


def _time(value: object) -> int | None:
    """Milliseconds of an RFC 3339 text, or of a number of seconds or milliseconds since 1970."""
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if type(value) is int or type(value) is float:
        # 1e11 seconds are the year 5138, 1e11 milliseconds are 1973.
        return int(value if abs(value) > 1e11 else value * 1000)
    return None
