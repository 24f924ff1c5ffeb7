"""MQTT messages to deliveries, and messages to publish to MQTT's properties.

MQTT 3.1.1, which is what Classic speaks, has a topic and a payload and nothing else; producers put
the rest into the payload. MQTT 5, which Artemis speaks too, has user properties (texts, repeated
names allowed), content type and correlation data.

A level of a topic ends with `/` in MQTT and with `.` in ActiveMQ; both brokers translate, and
EventHub always shows ActiveMQ's names.
"""

from collections.abc import Mapping
from typing import Any, Final

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collectors.activemq.names import Name
from collectors.conventions import envelope, header_correlation, header_type
from eventhub.brokers.contract import Delivery, Message
from eventhub.events.headers import Header, HeaderValue, header_text

__all__ = ["delivery", "filter_of", "properties"]

_LONGEST: Final = 65_535


def filter_of(name: Name, *, classic: bool) -> str:
    """A topic's name, or a wildcard, as MQTT writes it."""
    rest = ">" if classic else "#"
    words = {"*": "+", rest: "#"}
    return "/".join(words.get(word, word) for word in name.text.split("."))


def delivery(message: MQTTMessage) -> Delivery:
    """Never raises. A retained message is marked: it is older than the subscription."""
    told: dict[str, Any] = message.properties.json() if message.properties else {}
    headers: list[Header] = [(name, value) for name, value in told.get("UserProperty", ())]
    named: Mapping[str, HeaderValue] = dict(headers)
    if message.retain:
        headers.append(("mqtt.retained", True))
    if "ResponseTopic" in told:
        headers.append(("mqtt.response-topic", told["ResponseTopic"]))
    payload = bytes(message.payload)
    inside = envelope(payload)
    return Delivery(
        str(Name(True, message.topic.replace("/", "."))),
        payload,
        type=header_type(named) or inside.type,
        correlation_id=_correlation(message) or header_correlation(named) or inside.correlation_id,
        message_id=inside.message_id,
        content_type=told.get("ContentType"),
        headers=headers,
        redelivered=bool(message.dup),
        event_time=inside.event_time,
    )


def _correlation(message: MQTTMessage) -> str | None:
    data = getattr(message.properties, "CorrelationData", None)
    return data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else None


def properties(message: Message) -> Properties | None:
    """MQTT 5's, of a message to publish; None where there are none."""
    found = Properties(PacketTypes.PUBLISH)
    if message.content_type:
        found.ContentType = message.content_type
    if message.correlation_id:
        found.CorrelationData = message.correlation_id.encode("utf-8", "surrogateescape")
    pairs: list[tuple[str, str]] = []
    for name, value in message.headers:
        if name == "mqtt.response-topic":
            found.ResponseTopic = header_text(value)
        elif not name.startswith("mqtt."):
            pairs.append((name, header_text(value)[:_LONGEST]))
    if pairs:
        found.UserProperty = pairs
    return None if found.isEmpty() else found
