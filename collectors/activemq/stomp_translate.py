"""STOMP frames to deliveries, and messages to publish back to SEND's headers.

https://activemq.apache.org/components/classic/documentation/stomp: the JMS properties are headers
(`correlation-id`, `type`, `JMSXGroupID`, `timestamp`…). Headers are texts, so a value of another
type is published as its text. The message id is the broker's: it takes none from a client. Classic
takes a group id (our key) and does not give it back.

What an event has no field for travels as headers named `stomp.…`: `stomp.priority`,
`stomp.reply-to`, `stomp.expires`, and `stomp.persistent` where it is not.
"""

from collections.abc import Mapping
from typing import Final

from collectors.activemq.names import parse
from collectors.activemq.stomp_frames import Frame
from collectors.conventions import envelope, header_correlation, header_type
from eventhub.brokers.contract import Delivery, Message
from eventhub.events.headers import Header, HeaderValue, header_text

__all__ = ["delivery", "headers"]

_KEPT: Final = ("priority", "reply-to", "expires", "persistent")
_FIELDS: Final = frozenset({
    "destination", "message-id", "subscription", "ack", "content-length", "content-type",
    "correlation-id", "type", "timestamp", "redelivered", "JMSXGroupID", "receipt",
    "destination-type", "subscription-type", "transformation", "_AMQ_GROUP_ID", *_KEPT,
})  # fmt: skip
_DEFAULTS: Final = {"priority": "4", "expires": "0", "persistent": "true"}


def delivery(frame: Frame, *, topic: bool) -> Delivery:
    """Never raises. `topic`: what a destination without a prefix is, as Artemis writes it."""
    told = frame.headers
    own: list[Header] = [(name, value) for name, value in told.items() if name not in _FIELDS]
    named: Mapping[str, HeaderValue] = dict(own)
    for name in _KEPT:
        if name in told and told[name] != _DEFAULTS.get(name):
            own.append((f"stomp.{name}", told[name]))
    inside = envelope(frame.body)
    return Delivery(
        str(parse(told.get("destination", ""), bare_is_topic=topic)),
        frame.body,
        key=told.get("JMSXGroupID") or told.get("_AMQ_GROUP_ID"),
        type=told.get("type") or header_type(named) or inside.type,
        correlation_id=told.get("correlation-id")
        or header_correlation(named)
        or inside.correlation_id,
        message_id=_message_id(told) or inside.message_id,
        content_type=told.get("content-type"),
        headers=own,
        redelivered=told.get("redelivered") == "true",
        event_time=_milliseconds(told.get("timestamp")) or inside.event_time,
    )


def _message_id(told: Mapping[str, str]) -> str | None:
    """Classic's is the message's own. Artemis writes the subscription's number and its own."""
    text = told.get("message-id", "")
    return text if text.startswith("ID:") else None


def _milliseconds(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and text != "0" else None


def headers(message: Message) -> list[tuple[str, str]]:
    """Of a SEND, but for its destination: persistent unless it was not."""
    found = [("content-length", str(len(message.payload)))]
    key = message.key.decode("utf-8", "replace") if isinstance(message.key, bytes) else message.key
    for name, text in (
        ("JMSXGroupID", key),
        ("type", message.type),
        ("correlation-id", message.correlation_id),
        ("content-type", message.content_type),
    ):
        if text is not None:
            found.append((name, text))
    kept = {"persistent": "true"}
    for name, value in message.headers:
        field = name.removeprefix("stomp.")
        if field != name and field in _KEPT:
            kept[field] = header_text(value)
        elif name not in _FIELDS:
            found.append((name, header_text(value)))
    return [*found, *kept.items()]
