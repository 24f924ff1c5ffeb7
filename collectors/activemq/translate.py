"""AMQP 1.0 messages to deliveries, and messages to publish back to AMQP's sections.

Which section and property is which: part 3 of the specification (messaging). What ActiveMQ makes
of JMS messages: https://activemq.apache.org/components/classic/documentation/amqp and the AMQP JMS
mapping. The JMS type travels as `subject`, the group id as `group-id`: they are type and key.

What an event has no field for travels as headers named `amqp.…`, so that a replay can put it back:

- `amqp.to`, `amqp.reply-to`, `amqp.user-id`, `amqp.absolute-expiry`, `amqp.creation-time`,
  `amqp.group-sequence`, `amqp.reply-to-group-id`: properties
- `amqp.durable` (where false), `amqp.priority` (where not 4), `amqp.ttl`: of the header
- `amqp.annotation.NAME`: message annotations
- `amqp.types`: the types that a value's own does not tell, by the header's name
- `amqp.raw.NAME`: all bytes of a header that is a described value, an array or a mixed map
- `amqp.body`: "string" or "binary" for a value that is one; "sections" where the payload is the
  encoded body (a map, a list, several sections), which `amqp.value` then shows to a reader
- `amqp.derived`: fields that were read from headers or payload, and are not set again
- `amqp.unreadable`: the message, where it is none of AMQP's
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from collectors.activemq import sections
from collectors.activemq.encoding import Unwritable
from collectors.activemq.names import parse
from collectors.activemq.sections import Found
from collectors.activemq.values import Unreadable
from collectors.conventions import envelope, header_correlation, header_type
from eventhub.brokers.contract import Delivery, Message
from eventhub.events.headers import Header, HeaderValue

__all__ = ["Unwritable", "delivery", "encode"]

_PREFIX: Final = "amqp."
_ANNOTATION: Final = "amqp.annotation."
_RAW: Final = "amqp.raw."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_PRIORITY: Final = 4
_INGRESS: Final = "x-opt-ingress-time"
# The broker writes these itself, from the destination that it delivers to.
_BROKERS_OWN: Final = frozenset({"x-opt-jms-dest", "x-opt-jms-reply-to", _INGRESS})
_KEPT: Final = frozenset({
    "to", "reply-to", "user-id", "absolute-expiry", "creation-time", "group-sequence",
    "reply-to-group-id",
})  # fmt: skip
_IDS: Final = ("message-id", "correlation-id")


def delivery(raw: bytes, destination: str, *, known: bool = False) -> Delivery:
    """The message as a delivery; never raises.

    `destination` is where it was read, a name as `names.Name` writes it; where that has a
    wildcard (`known` is false) the message's own `to` says more.
    """
    try:
        found = sections.split(raw)
    except Unreadable as problem:
        return Delivery(destination, raw, headers=[("amqp.unreadable", str(problem))])
    headers = found.headers
    told = found.properties
    named: Mapping[str, HeaderValue] = dict(headers) if headers else {}
    where = destination if known else _destination(found, destination)
    _keep(found, headers, where)
    inside = envelope(found.payload)
    kind, correlation, message_id = told.get("subject"), _id(found, 1), _id(found, 0)
    derived: list[HeaderValue] = []
    if not kind and (kind := header_type(named) or inside.type):
        derived.append("type")
    if not correlation and (correlation := header_correlation(named) or inside.correlation_id):
        derived.append("correlation_id")
    if not message_id and (message_id := inside.message_id):
        derived.append("message_id")
    if derived:
        headers.append(("amqp.derived", derived))
    if found.types:
        headers.append(("amqp.types", found.types))
    return Delivery(
        where,
        found.payload,
        key=told.get("group-id"),
        type=kind,
        correlation_id=correlation,
        message_id=message_id,
        content_type=told.get("content-type"),
        content_encoding=told.get("content-encoding"),
        headers=headers,
        redelivered=found.delivery_count > 0,
        event_time=_milliseconds(told.get("creation-time")) or inside.event_time,
        broker_time=_ingress(found),
    )


def _destination(found: Found, subscribed: str) -> str:
    """What a wildcard matched. Classic writes `to` with its prefix, Artemis without."""
    to = found.properties.get("to")
    return str(parse(to, bare_is_topic=subscribed.startswith("topic://"))) if to else subscribed


def _keep(found: Found, headers: list[Header], where: str) -> None:
    told = found.properties
    for name, value in told.items():
        if name in _KEPT and not (name == "to" and value.endswith(parse(where).text)):
            headers.append((_PREFIX + name, value))
    if not found.durable:
        headers.append(("amqp.durable", False))
    if found.priority != _DEFAULT_PRIORITY:
        headers.append(("amqp.priority", found.priority))
    if found.ttl is not None:
        headers.append(("amqp.ttl", found.ttl))
    for name, value, hint in found.annotations:
        if name not in _BROKERS_OWN:
            headers.append((_ANNOTATION + name, value))
            if isinstance(hint, str):
                found.types[_ANNOTATION + name] = hint
            elif hint is not None:
                headers.append((_RAW + _ANNOTATION + name, hint))
    if found.body:
        headers.append(("amqp.body", found.body))
    if found.shown is not None:
        headers.append(("amqp.value", found.shown))


def _id(found: Found, which: int) -> str | None:
    """An id may be a text, a number, a UUID or bytes; it is told as a text."""
    value = found.properties.get(_IDS[which])
    if value is None or isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _milliseconds(moment: object) -> int | None:
    if isinstance(moment, datetime):
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    return None


def _ingress(found: Found) -> int | None:
    """Artemis writes when a message came in, where `enable-ingress-timestamp` is set."""
    for name, value, _ in found.annotations:
        if name == _INGRESS:
            return value if isinstance(value, int) else _milliseconds(value)
    return None


def encode(message: Message, to: str) -> bytes:
    """The encoded message, addressed `to`. Raises Unwritable."""
    kept: dict[str, HeaderValue] = {}
    own: list[Header] = []
    for name, value in message.headers:
        if name.startswith(_PREFIX):
            kept[name] = value
        else:
            own.append((name, value))
    types = kept.get("amqp.types")
    hints = types if isinstance(types, dict) else {}
    return b"".join((
        sections.header(kept),
        sections.annotations(kept, hints),
        sections.properties(_properties(message, own, kept, to), hints),
        sections.application(own, kept, hints),
        sections.body(message.payload, kept.get("amqp.body")),
    ))  # fmt: skip


def _properties(
    message: Message, own: Sequence[Header], kept: Mapping[str, HeaderValue], to: str
) -> dict[str, Any]:
    derived = _still_derived(message, own, kept)
    expiry = kept.get("amqp.absolute-expiry")
    # The broker would drop it on arrival: a dead letter that expired could never be replayed.
    if isinstance(expiry, datetime) and expiry <= datetime.now(expiry.tzinfo):
        expiry = None
    return {
        "message-id": None if "message_id" in derived else message.message_id,
        "user-id": kept.get("amqp.user-id"),
        "to": kept.get("amqp.to") or to,
        "subject": None if "type" in derived else message.type,
        "reply-to": kept.get("amqp.reply-to"),
        "correlation-id": None if "correlation_id" in derived else message.correlation_id,
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
        "absolute-expiry": expiry,
        "creation-time": kept.get("amqp.creation-time"),
        "group-id": _key(message.key),
        "group-sequence": kept.get("amqp.group-sequence"),
        "reply-to-group-id": kept.get("amqp.reply-to-group-id"),
    }


def _still_derived(
    message: Message, own: Sequence[Header], kept: Mapping[str, HeaderValue]
) -> set[str]:
    """Fields that were not in the message itself, and would be read again as they are now."""
    told = kept.get("amqp.derived")
    if not isinstance(told, list):
        return set()
    named, inside = dict(own), envelope(message.payload)
    again = {
        "type": header_type(named) or inside.type,
        "correlation_id": header_correlation(named) or inside.correlation_id,
        "message_id": inside.message_id,
    }
    return {
        name for name, value in again.items() if name in told and getattr(message, name) == value
    }


def _key(key: str | bytes | None) -> str | None:
    """A group id is a text."""
    if not isinstance(key, bytes):
        return key
    try:
        return key.decode()
    except UnicodeDecodeError as problem:
        raise Unwritable("the key is no text, as a group id must be") from problem
