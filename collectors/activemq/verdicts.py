"""Where a dead letter died, and why: from the letter itself, and on Classic from Jolokia."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.jolokia import Jolokia, Unreadable
from collectors.activemq.names import Name, parse
from collectors.failures import failure
from eventhub.brokers.contract import DeadLetter, Delivery
from eventhub.events.headers import HeaderValue

__all__ = ["Verdict", "letter", "verdicts"]

_CAUSE: Final = "dlqDeliveryFailureCause"
# Classic: "java.lang.Throwable: Delivery[7] exceeds redelivery policy limit:RedeliveryPolicy {…},
# cause:java.lang.IllegalStateException: no such article" (ActiveMQMessageConsumer.java).
_DELIVERIES: Final = re.compile(r"(?:Delivery|Dispatch)\[(\d+)\]")
_EXCEPTION: Final = re.compile(
    r"cause:\s*([\w.$]+(?:Exception|Error|Throwable))(?::\s*(.*))?", re.S
)
_POLICY: Final = re.compile(r":?\s*RedeliveryPolicy \{.*?\}")
# Artemis over AMQP; as STOMP, MQTT and Core write them into their messages' properties.
_ORIGINS: Final = (
    ("amqp.annotation.x-opt-ORIG-ADDRESS", "amqp.annotation.x-opt-ORIG-QUEUE"),
    ("_AMQ_ORIG_ADDRESS", "_AMQ_ORIG_QUEUE"),
)
_EXPIRIES: Final = ("amqp.annotation.x-opt-ACTUAL-EXPIRY", "_AMQ_ACTUAL_EXPIRY")
_BY_NAME: Final = (
    ("ActiveMQ.DLQ.Queue.", False), ("ActiveMQ.DLQ.Topic.", True), ("DLQ.", False),
)  # fmt: skip


class Verdict(msgspec.Struct, frozen=True):
    """What Classic tells of a letter besides its bytes."""

    origin: str | None = None
    cause: str | None = None


def verdicts(
    config: ActiveMQConfig, queue: Name, letters: Sequence[Delivery]
) -> dict[str, Verdict]:
    """By message id; empty on Artemis, and where Jolokia cannot be read. One call."""
    if not config.classic or not letters:
        return {}
    mbean = (
        "org.apache.activemq:type=Broker,brokerName={},destinationType=Queue,destinationName="
        + _escaped(queue.text)
    )
    jolokia = Jolokia(config)
    try:
        # An operation takes no pattern, so the broker's name is asked for first.
        names = jolokia.search(mbean.format("*"))
        found = jolokia.call(*((name, "browse()", ()) for name in names[:1]))
    except Unreadable:
        return {}
    rows = found[0] if found and isinstance(found[0], list) else []
    return {str(row.get("JMSMessageID")).removeprefix("ID:"): _verdict(row) for row in rows}


def _escaped(text: str) -> str:
    """As ActiveMQ's JMXSupport encodes a name for JMX."""
    for plain, coded in ((":", "_"), ("*", "_"), ("?", "_"), ("=", "_"), (",", "_"), ('"', "_")):
        text = text.replace(plain, coded)
    return text


def _verdict(row: Mapping[str, Any]) -> Verdict:
    texts = row.get("StringProperties")
    cause = texts.get(_CAUSE) if isinstance(texts, dict) else None
    origin = row.get("OriginalDestination")
    return Verdict(str(parse(origin)) if origin else None, cause)


def letter(found: Delivery, verdict: Verdict | None) -> DeadLetter:
    """A delivery from a dead-letter queue, with all that is told of its death."""
    named: Mapping[str, HeaderValue] = dict(found.headers)
    told = failure(named)
    cause = _text(named.get(_CAUSE)) or (verdict.cause if verdict else None)
    expired = any(name in named for name in _EXPIRIES) or (cause and "expired" in cause.lower())
    count = _DELIVERIES.search(cause) if cause else None
    thrown = _EXCEPTION.search(cause) if cause else None
    reason = "expired" if expired else _reason(cause) if cause else told.reason
    return DeadLetter(
        found,
        origin=_origin(named)
        or (verdict.origin if verdict else None)
        or _by_name(found, told.origin),
        reason=reason,
        attempts=int(count[1]) if count else told.attempts,
        died_at=told.died_at,
        exception=thrown[1] if thrown else told.exception,
        exception_message=(thrown[2] or None) if thrown else told.exception_message,
        stack_trace=told.stack_trace,
    )


def _reason(cause: str) -> str:
    """The broker's words, without its settings and without the exception that has its own place."""
    words = _POLICY.sub("", cause.split(", cause:")[0])
    return words.removeprefix("java.lang.Throwable: ").strip()


def _origin(named: Mapping[str, HeaderValue]) -> str | None:
    for address_name, queue_name in _ORIGINS:
        address, queue = _text(named.get(address_name)), _text(named.get(queue_name))
        if address and queue and queue != address:
            # The letter died in one queue of several: a publish to it reaches no other.
            return f"{address}::{queue}"
        if address or queue:
            return address or queue
    return None


def _by_name(found: Delivery, told: str | None) -> str | None:
    """Classic's individual strategy names a dead-letter queue after the destination."""
    for prefix, topic in _BY_NAME:
        if told is None and found.destination.startswith(prefix):
            return str(Name(topic, found.destination.removeprefix(prefix)))
    return told


def _text(value: HeaderValue) -> str | None:
    return value if isinstance(value, str) else None
