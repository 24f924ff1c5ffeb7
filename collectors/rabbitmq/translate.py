"""AMQP messages to deliveries, and messages to publish back to AMQP properties.

Properties for which an event has no field travel as headers named `amqp.…`, so that a replay can
put them back. Layout of properties: section 4.2.6.1 of the AMQP 0-9-1 specification.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import pika

from collectors.conventions import header_correlation, header_type
from collectors.rabbitmq.tables import Unwritable, read_table, write_table
from eventhub.brokers.contract import Delivery, Message
from eventhub.events.headers import Header, HeaderValue
from eventhub.events.text import text_or_bytes

__all__ = [
    "EXCHANGE_HEADER",
    "FIREHOSE",
    "Content",
    "Properties",
    "Unwritable",
    "assemble",
    "delivery",
    "is_transient",
    "properties",
]


class Content(NamedTuple):
    """A message as it came over the wire; `header` begins with the flags of the properties."""

    tag: int
    redelivered: bool
    exchange: bytes
    routing_key: bytes
    header: bytes
    body: bytes
    consumer: bytes = b""
    """The tag of the consumer that it was delivered to."""


_SHORT, _TABLE, _OCTET, _TIME = range(4)
# Name, flag and layout, in the order in which they are on the wire.
_LAYOUT: Final = tuple(
    (name, 1 << (15 - place), kind)
    for place, (name, kind) in enumerate(
        [
            ("content_type", _SHORT), ("content_encoding", _SHORT), ("headers", _TABLE),
            ("delivery_mode", _OCTET), ("priority", _OCTET), ("correlation_id", _SHORT),
            ("reply_to", _SHORT), ("expiration", _SHORT), ("message_id", _SHORT),
            ("timestamp", _TIME), ("type", _SHORT), ("user_id", _SHORT), ("app_id", _SHORT),
            ("cluster_id", _SHORT),
        ]
    )
)  # fmt: skip
_KEPT_AS_HEADERS: Final[dict[str, type]] = {
    "priority": int, "reply_to": str, "expiration": str, "timestamp": int, "user_id": str,
    "app_id": str, "cluster_id": str, "delivery_mode": int,
}  # fmt: skip
_PREFIX: Final = "amqp."
EXCHANGE_HEADER: Final = "amqp.exchange"
"""Of a message that was read from a queue: the exchange that it was published to."""
FIREHOSE: Final = "firehose."
_FIREHOSE_HEADERS: Final = frozenset(
    FIREHOSE + name
    for name in ("node", "connection", "channel", "user", "routed_queues", "routing_keys")
)
"""What the tracer knows of a message, and the message itself does not."""
_PERSISTENT: Final = 2
_HAS_DELIVERY_MODE: Final = next(flag for name, flag, _ in _LAYOUT if name == "delivery_mode")

_MILLISECONDS_FROM: Final = 100_000_000_000
"""A timestamp property above this (the year 5138 in seconds) was meant in milliseconds."""
_LATEST: Final = 2**53


def delivery(content: Content) -> Delivery:
    """Never raises: what cannot be read is kept as bytes in the header `amqp.unreadable`."""
    try:
        found = _read_properties(content.header)
    except (ValueError, IndexError, struct.error):
        found = {"headers": [("amqp.unreadable", content.header)]}
    return assemble(content, found, content.exchange, content.routing_key)


def assemble(
    content: Content,
    found: dict[str, Any],
    exchange: bytes,
    key: bytes,
    more: Sequence[Header] = (),
) -> Delivery:
    """A delivery of the properties `found`, with `more` headers that are no message's own."""
    headers: list[Header] = found.get("headers", [])
    named = dict(headers) if headers else {}
    for name in _KEPT_AS_HEADERS.keys() & found.keys():
        if name != "delivery_mode" or found[name] != _PERSISTENT:
            headers.append((_PREFIX + name, found[name]))
    headers.extend(more)
    return Delivery(
        destination=exchange.decode("utf-8", "surrogateescape"),
        payload=content.body,
        key=text_or_bytes(key),
        type=found.get("type") or header_type(named),
        correlation_id=found.get("correlation_id") or header_correlation(named),
        message_id=found.get("message_id"),
        content_type=found.get("content_type"),
        content_encoding=found.get("content_encoding"),
        headers=headers,
        redelivered=content.redelivered,
        event_time=_milliseconds(found.get("timestamp")),
        broker_time=_broker_time(named),
    )


def is_transient(content: Content) -> bool:
    """Whether a restart of the broker would have lost it. Cheap: asked of every message."""
    raw = content.header
    flags = raw[0] << 8
    if not flags & _HAS_DELIVERY_MODE:
        return True
    at = 2
    for name, flag, _ in _LAYOUT[:3]:
        if flags & flag:
            at += 4 + int.from_bytes(raw[at : at + 4], "big") if name == "headers" else 1 + raw[at]
    return raw[at : at + 1] != bytes([_PERSISTENT])


def _read_properties(raw: bytes) -> dict[str, Any]:
    flags = raw[0] << 8 | raw[1]
    if flags & 1:
        raise ValueError("more properties than AMQP 0-9-1 has")
    found: dict[str, Any] = {}
    at = 2
    for name, flag, kind in _LAYOUT:
        if not flags & flag:
            continue
        if kind == _SHORT:
            stop = at + 1 + raw[at]
            found[name] = raw[at + 1 : stop].decode("utf-8", "surrogateescape")
            at = stop
        elif kind == _OCTET:
            found[name] = raw[at]
            at += 1
        elif kind == _TIME:
            found[name] = int.from_bytes(raw[at : at + 8], "big")
            at += 8
        else:
            stop = at + 4 + int.from_bytes(raw[at : at + 4], "big")
            found[name] = _headers(raw[at + 4 : stop])
            at = stop
    return found


def _headers(raw: bytes) -> list[Header]:
    try:
        return read_table(raw)
    except ValueError:
        return [("amqp.unreadable", raw)]


def _milliseconds(timestamp: int | None) -> int | None:
    if timestamp is None or timestamp > _LATEST:
        return None
    return timestamp if timestamp >= _MILLISECONDS_FROM else timestamp * 1000


def _broker_time(headers: dict[str, HeaderValue]) -> int | None:
    """Set by the broker's timestamp interceptor: https://www.rabbitmq.com/docs/message-interceptors"""
    value = headers.get("timestamp_in_ms") if headers else None
    return value if isinstance(value, int) and 0 <= value <= _LATEST else None


class Properties(pika.BasicProperties):
    """pika's properties, but encoded by ourselves and before anything is sent."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__()
        self._pieces = _encode(values)

    @property
    def raw(self) -> bytes:
        """As they go over the wire."""
        return b"".join(self._pieces)

    def encode(self) -> list[bytes]:
        # pika puts its own piece before ours.
        return list(self._pieces)


def _encode(values: dict[str, Any]) -> list[bytes]:
    flags = 0
    pieces = []
    for name, flag, kind in _LAYOUT:
        value = values.get(name)
        if value is None:
            continue
        flags |= flag
        if kind == _OCTET:
            pieces.append(bytes([value]))
        elif kind == _TIME:
            pieces.append(value.to_bytes(8, "big"))
        else:
            pieces.append(write_table(value) if kind == _TABLE else _short(name, value))
    return [flags.to_bytes(2, "big"), *pieces]


def properties(message: Message) -> Properties:
    """AMQP properties of a message; `amqp.…` headers become what they were.

    Raises Unwritable for what AMQP cannot carry.
    """
    headers, values = _split(message.headers)
    return Properties(
        {
            "delivery_mode": _PERSISTENT,
            **values,
            "headers": headers or None,
            "type": message.type,
            "correlation_id": message.correlation_id,
            "message_id": message.message_id,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
        }
    )


def _split(headers: Sequence[Header]) -> tuple[list[Header], dict[str, Any]]:
    plain: list[Header] = []
    values: dict[str, Any] = {}
    for name, value in headers:
        if name == EXCHANGE_HEADER or name in _FIREHOSE_HEADERS:
            continue  # where it is published now is the target's to say, and who does is known
        field = name.removeprefix(_PREFIX)
        if field != name and _fits(field, value):
            values[field] = value
        else:
            plain.append((name, value))
    return plain, values


def _fits(field: str, value: HeaderValue) -> bool:
    wanted = _KEPT_AS_HEADERS.get(field)
    if wanted is None or type(value) is not wanted:
        return False
    limit = 2**64 if field == "timestamp" else 256
    return not isinstance(value, int) or 0 <= value < limit


def _short(name: str, text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > 255:
        raise Unwritable(f"the property {name} has more than 255 bytes")
    return bytes([len(raw)]) + raw
