"""Where producers write what a message is, besides the fields of their broker.

Conventions of headers: CloudEvents' bindings (https://github.com/cloudevents/spec), Spring
(`__TypeId__`), NServiceBus, MassTransit, and W3C Trace Context (https://www.w3.org/TR/trace-context/).
Conventions of JSON payloads: CloudEvents' structured mode and the common plain names.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from eventhub.events.headers import HeaderValue

__all__ = [
    "NO_ENVELOPE", "Envelope", "Known", "envelope", "header_correlation", "header_type", "known",
]  # fmt: skip

LARGEST_LOOKED_INTO: Final = 64 * 1024
"""Bytes of payload above which its fields are not looked for."""

# First to last: what was made for the purpose goes before what may mean something else.
_TYPE_HEADERS: Final = (
    "cloudEvents:type", "cloudEvents_type", "ce_type", "ce-type", "__TypeId__",
    "NServiceBus.EnclosedMessageTypes", "MT-MessageType", "event-type", "eventType", "event_type",
)  # fmt: skip
_CORRELATION_HEADERS: Final = (
    "correlation-id", "correlation_id", "correlationId", "CorrelationId", "X-Correlation-ID",
    "x-correlation-id", "kafka_correlationId", "NServiceBus.CorrelationId", "ce_correlationid",
)  # fmt: skip
_TRACE: Final = "traceparent"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Envelope(msgspec.Struct, frozen=True):
    """What a JSON payload says of itself; times in milliseconds since 1970."""

    type: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    event_time: int | None = None


NO_ENVELOPE: Final = Envelope()


class _Fields(msgspec.Struct, gc=False):
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


_decode: Final = msgspec.json.Decoder(_Fields).decode
_NO_FIELDS: Final = _Fields()


class Known(NamedTuple):
    """Of some header names, those that a convention knows: what was made for it comes first."""

    type: tuple[str, ...]
    correlation: tuple[str, ...]


def known(names: tuple[str, ...]) -> Known:
    """To be kept by the caller: the messages of a destination have mostly the same names, and
    looking for those alone took 1.1 µs where looking for all took 2.4."""
    return Known(
        tuple(name for name in _TYPE_HEADERS if name in names),
        tuple(name for name in (*_CORRELATION_HEADERS, _TRACE) if name in names),
    )


def header_type(
    headers: Mapping[str, HeaderValue], names: Iterable[str] = _TYPE_HEADERS
) -> str | None:
    """The type of a message by its headers; texts and UTF-8 bytes are looked at."""
    for name in names:
        value = _text(headers.get(name))
        if value:
            if name == "NServiceBus.EnclosedMessageTypes":
                return value.split(";")[0].split(",")[0].strip()
            return value.split(";")[0] if name == "MT-MessageType" else value
    return None


def header_correlation(
    headers: Mapping[str, HeaderValue], names: Iterable[str] = (*_CORRELATION_HEADERS, _TRACE)
) -> str | None:
    """The correlation id by its usual headers, else the trace-id of a `traceparent`."""
    for name in names:
        value = _text(headers.get(name))
        if name != _TRACE:
            if value:
                return value
        elif value and (found := _TRACEPARENT.match(value)):
            return found[1]
    return None


def envelope(payload: bytes) -> Envelope:
    """What a JSON object says at its top level. About 0.7 µs for 1 KB; never fails."""
    if payload[:1] != b"{" or len(payload) > LARGEST_LOOKED_INTO:
        return NO_ENVELOPE
    try:
        fields = _decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NO_ENVELOPE
    if fields == _NO_FIELDS:
        return NO_ENVELOPE
    return Envelope(
        _first(fields.type, fields.event, fields.event_type, fields.eventType),
        _first(fields.correlation_id, fields.correlationId, fields.correlationid),
        _first(fields.id, fields.message_id, fields.messageId, fields.event_id, fields.eventId),
        _time(fields.time) or _time(fields.timestamp),
    )


def _text(value: HeaderValue) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else None


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
