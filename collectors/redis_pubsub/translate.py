"""A Pub/Sub message as a delivery.

Redis Pub/Sub carries a channel and bytes, no headers. Producers therefore put what other brokers
have as properties into the payload, most often a JSON object; its usual top-level fields are
looked at (`collectors.conventions`).
"""

from collectors.conventions import NO_ENVELOPE, envelope
from eventhub.brokers.contract import Delivery

__all__ = ["channel_bytes", "channel_text", "to_delivery"]


def to_delivery(channel: bytes, payload: bytes) -> Delivery:
    """Never fails: a payload that is no JSON object is a delivery without those fields."""
    destination = channel_text(channel)
    told = envelope(payload)
    if told is NO_ENVELOPE:
        return Delivery(destination, payload)
    return Delivery(
        destination,
        payload,
        type=told.type,
        correlation_id=told.correlation_id,
        message_id=told.message_id,
        event_time=told.event_time,
    )


def channel_text(channel: bytes) -> str:
    """The name of a channel; bytes that are not UTF-8 survive the way back."""
    return channel.decode("utf-8", "surrogateescape")


def channel_bytes(text: str) -> bytes:
    """The inverse of `channel_text`."""
    return text.encode("utf-8", "surrogateescape")
