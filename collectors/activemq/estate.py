"""What there is on the broker, as Jolokia tells it: topics and queues with their counters.

Two calls at most, whatever their number. Attributes:
https://activemq.apache.org/components/classic/documentation/jmx and
https://activemq.apache.org/components/artemis/documentation/latest/management.html
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.jolokia import Jolokia, Unreadable, properties
from collectors.activemq.names import Name
from eventhub.brokers.contract import Link

__all__ = ["Place", "survey"]

_CLASSIC: Final = "org.apache.activemq:type=Broker,brokerName=*"
_ARTEMIS: Final = "org.apache.activemq.artemis:broker=*"
_ADDRESSES: Final = f"{_ARTEMIS},component=addresses,address=*"
_ADVISORY: Final = "ActiveMQ.Advisory."
_VIRTUAL: Final = "VirtualTopic."
_MIRROR: Final = "VirtualTopic.Mirror."
_INTERNAL: Final = ("$sys.", "$.artemis.", "activemq.management", "activemq.notifications")


class Place(msgspec.Struct):
    """A topic or queue, and its figures; None where the broker does not tell."""

    name: Name
    kind: str
    waiting: int | None = None
    in_flight: int | None = None
    consumers: int | None = None
    arrived: int | None = None
    """Messages since the broker began to count."""
    left: int | None = None
    oldest: int | None = None
    """Time of the oldest message, by its producer; milliseconds since 1970."""
    group: str | None = None
    """The subscription of a topic that this is the view of."""
    queue: str | None = None
    """What a subscription that outlives its subscriber is read by: `address::queue`."""
    dead_letters: bool = False
    links: list[Link] = []


def survey(config: ActiveMQConfig, jolokia: Jolokia) -> list[Place]:
    """All places. Raises Unreadable, also where the broker is not among what Jolokia shows."""
    places = _classic(jolokia) if config.classic else _artemis(jolokia)
    for place in places:
        if not place.name.topic and not place.dead_letters:
            place.dead_letters = any(
                fnmatchcase(place.name.text, pattern) for pattern in config.dead_letter_queues
            )
    return places


def _classic(jolokia: Jolokia) -> list[Place]:
    brokers, found, durable = jolokia.read(
        (_CLASSIC, ("BrokerVersion",)),
        (
            f"{_CLASSIC},destinationType=*,destinationName=*",
            ("QueueSize", "InFlightCount", "ConsumerCount", "EnqueueCount", "DequeueCount", "DLQ"),
        ),
        (
            f"{_CLASSIC},destinationType=Topic,destinationName=*,endpoint=Consumer,"
            "consumerId=Durable*,*",
            ("PendingQueueSize", "SubscriptionName", "ClientId", "Active"),
        ),
    )
    _there(brokers, "ActiveMQ Classic", "artemis")
    places = [place for mbean, told in found.items() if (place := _classic_place(mbean, told))]
    _link_classic(places)
    return places + [_subscription(mbean, told) for mbean, told in durable.items()]


def _classic_place(mbean: str, told: Mapping[str, Any]) -> Place | None:
    key = properties(mbean)
    text = key.get("destinationName", "")
    topic = key.get("destinationType") == "Topic"
    if text.startswith(_ADVISORY) or key.get("destinationType") not in ("Topic", "Queue"):
        return None
    virtual = topic and text.startswith(_VIRTUAL)
    return Place(
        Name(topic, text),
        "virtual topic" if virtual else "topic" if topic else "queue",
        # A topic keeps nothing; what it counts as its size is what slow subscribers have pending.
        waiting=None if topic else told.get("QueueSize"),
        in_flight=None if topic else told.get("InFlightCount"),
        consumers=told.get("ConsumerCount"),
        arrived=told.get("EnqueueCount"),
        left=told.get("DequeueCount"),
        dead_letters=bool(told.get("DLQ")),
    )


def _subscription(mbean: str, told: Mapping[str, Any]) -> Place:
    text = properties(mbean).get("destinationName", "")
    return Place(
        Name(True, text),
        "durable subscription",
        waiting=told.get("PendingQueueSize"),
        consumers=int(bool(told.get("Active"))),
        group=f"{told.get('ClientId')}:{told.get('SubscriptionName')}",
    )


def _link_classic(places: list[Place]) -> None:
    """Virtual topics feed the queues `Consumer.*.VirtualTopic.>`; mirrored queues feed topics
    (https://activemq.apache.org/components/classic/documentation/virtual-destinations)."""
    topics = {place.name.text: place for place in places if place.name.topic}
    for place in places:
        text = place.name.text
        if not place.name.topic and text.startswith("Consumer."):
            topic = topics.get(text.split(".", 2)[-1])
            if topic is not None:
                topic.links.append(Link(text, "virtual topic's queue"))
        if not place.name.topic and _MIRROR + text in topics:
            place.links.append(Link(str(Name(True, _MIRROR + text)), "mirror"))


def _artemis(jolokia: Jolokia) -> list[Place]:
    brokers, addresses, queues, diverts = jolokia.read(
        (_ARTEMIS, ("Version",)),
        (_ADDRESSES, ("RoutingTypesAsJSON", "RoutedMessageCount", "UnRoutedMessageCount")),
        (
            f"{_ADDRESSES},subcomponent=queues,routing-type=*,queue=*",
            (
                "MessageCount", "DeliveringCount", "ConsumerCount", "MessagesAdded",
                "MessagesAcknowledged", "FirstMessageTimestamp", "DeadLetterAddress",
                "ExpiryAddress", "Durable",
            ),
        ),
        (f"{_ADDRESSES},subcomponent=diverts,divert=*", ("ForwardingAddress", "Filter")),
    )  # fmt: skip
    _there(brokers, "ActiveMQ Artemis", "classic")
    topics = {
        place.name.text: place
        for mbean, told in addresses.items()
        if (place := _address(mbean, told)) is not None
    }
    graves = {told.get(name) for told in queues.values() for name in _GIVES_UP}
    found = [place for mbean, told in queues.items() if (place := _queue(mbean, told, graves))]
    for place in found:
        if place.queue is not None and place.name.text in topics:
            topics[place.name.text].links.append(Link(place.queue, "subscription"))
    _link_diverts(diverts, topics, found)
    return [*topics.values(), *found]


_GIVES_UP: Final = ("DeadLetterAddress", "ExpiryAddress")


def _address(mbean: str, told: Mapping[str, Any]) -> Place | None:
    text = properties(mbean).get("address", "")
    if text.startswith(_INTERNAL) or "MULTICAST" not in (told.get("RoutingTypesAsJSON") or ""):
        return None
    counted = (told.get("RoutedMessageCount"), told.get("UnRoutedMessageCount"))
    arrived = sum(counted) if None not in counted else None  # type: ignore[arg-type]
    return Place(Name(True, text), "multicast address", arrived=arrived)


def _queue(mbean: str, told: Mapping[str, Any], graves: set[Any]) -> Place | None:
    key = properties(mbean)
    address, queue = key.get("address", ""), key.get("queue", "")
    if address.startswith(_INTERNAL) or queue.startswith(_INTERNAL):
        return None
    waiting, delivering = told.get("MessageCount"), told.get("DeliveringCount")
    if waiting is not None and delivering is not None:
        waiting -= delivering  # Artemis counts what is being delivered among the messages
    # A dead-letter queue that Artemis makes by itself is one of several on a multicast address; it
    # is read as the queue that it is.
    multicast = key.get("routing-type") == "multicast" and address not in graves
    name = address if multicast or queue == address else f"{address}::{queue}"
    letters = told.get("DeadLetterAddress")
    return Place(
        Name(multicast, name),
        "subscription" if multicast else "queue",
        waiting=waiting,
        in_flight=delivering,
        consumers=told.get("ConsumerCount"),
        arrived=told.get("MessagesAdded"),
        left=told.get("MessagesAcknowledged"),
        oldest=told.get("FirstMessageTimestamp") or None,
        group=queue if multicast else None,
        queue=f"{address}::{queue}" if multicast and told.get("Durable") else None,
        dead_letters=address in graves,
        links=[Link(letters, "dead letters")] if letters and letters != address else [],
    )


def _link_diverts(
    diverts: Mapping[str, Mapping[str, Any]], topics: Mapping[str, Place], queues: list[Place]
) -> None:
    for mbean, told in diverts.items():
        address = properties(mbean).get("address", "")
        source = topics.get(address) or next(
            (place for place in queues if place.name.text == address), None
        )
        forwarding = told.get("ForwardingAddress")
        if source is not None and forwarding:
            to = str(Name(forwarding in topics, forwarding))
            source.links.append(Link(to, "divert", told.get("Filter") or ""))


def _there(brokers: Mapping[str, Any], what: str, other: str) -> None:
    if not brokers:
        raise Unreadable(
            f"It shows no {what} to this user. Is the broker {other}, or may the user not read JMX?"
        )
