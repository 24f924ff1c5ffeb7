"""A Pub/Sub message, an element of a list or an entry of a stream, as a delivery.

Redis Pub/Sub carries a channel and bytes, no headers. Producers therefore put what other brokers
have as properties into the payload, most often a JSON object; its usual top-level fields are
looked at (`collectors.conventions`).
"""

from typing import Any, Final

import msgspec

from collectors.conventions import NO_ENVELOPE, envelope
from eventhub.brokers.contract import Delivery
from eventhub.events.headers import Header
from eventhub.events.text import text_or_bytes

__all__ = ["PAYLOAD", "channel_bytes", "channel_text", "entry_delivery", "pairs", "to_delivery"]

PAYLOAD: Final = b"payload"
_PAYLOADS: Final = (PAYLOAD, b"body", b"data", b"message", b"value")
"""Fields in which an entry's payload is looked for."""


def to_delivery(
    channel: bytes, payload: bytes, position: str | None = None, redelivered: bool = False
) -> Delivery:
    """Never fails: a payload that is no JSON object is a delivery without those fields."""
    destination = channel_text(channel)
    told = envelope(payload)
    if told is NO_ENVELOPE:
        return Delivery(destination, payload, position=position, redelivered=redelivered)
    return Delivery(
        destination,
        payload,
        type=told.type,
        correlation_id=told.correlation_id,
        message_id=told.message_id,
        position=position,
        redelivered=redelivered,
        event_time=told.event_time,
    )


def channel_text(channel: bytes) -> str:
    """The name of a channel; bytes that are not UTF-8 survive the way back."""
    return channel.decode("utf-8", "surrogateescape")


def channel_bytes(text: str) -> bytes:
    """The inverse of `channel_text`."""
    return text.encode("utf-8", "surrogateescape")


def entry_delivery(stream: str, entry_id: bytes, fields: dict[bytes, bytes]) -> Delivery:
    """An entry of a stream: its payload is in a field of a usual name, and the other fields are
    headers; without such a field all of them are the payload, as JSON."""
    told_in = next((name for name in _PAYLOADS if name in fields), None)
    if told_in is None:
        payload = msgspec.json.encode({_shown(name): _shown(text) for name, text in fields.items()})
    else:
        payload = fields[told_in]
    headers: list[Header] = [
        (channel_text(name), text_or_bytes(text))
        for name, text in fields.items()
        if name != told_in
    ]
    return msgspec.structs.replace(
        to_delivery(channel_bytes(stream), payload, entry_id.decode()),
        headers=headers,
        broker_time=int(entry_id.partition(b"-")[0]),
    )


def pairs(flat: list[Any]) -> dict[bytes, Any]:
    """A reply that lists names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
