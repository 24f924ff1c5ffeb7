"""Topics and queues that there are, what feeds what, and which hold dead letters."""

from collections import Counter
from typing import Final

import msgspec

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.estate import Place, survey
from collectors.activemq.jolokia import Jolokia, Unreadable
from collectors.activemq.names import Name
from eventhub.brokers.contract import Destination
from eventhub.brokers.errors import NotConnected

__all__ = ["discover"]

_MOST: Final = 1_000


def discover(config: ActiveMQConfig) -> list[Destination]:
    """Wildcards that several topics share, then topics, then queues. Raises NotConnected where
    Jolokia cannot be read."""
    try:
        places = survey(config, Jolokia(config))
    except Unreadable as problem:
        raise NotConnected(
            f"Destinations are listed by Jolokia at {config.jolokia()}. {problem}",
            way_out="Correct the Jolokia URL, or type the destinations' names.",
        ) from problem
    named = [place for place in places if place.group is None]
    topics = [place for place in named if place.name.topic]
    queues = [place for place in named if not place.name.topic]
    found = [
        *_families(topics, ">" if config.classic else "#"),
        *map(_destination, sorted(topics, key=_order)),
        *map(_destination, sorted(queues, key=_order)),
        *(_subscription(place) for place in places if place.queue is not None),
    ]
    return found[:_MOST]


def _families(topics: list[Place], rest: str) -> list[Destination]:
    """`topic://orders.>` where at least two topics begin with `orders.`."""
    heads = Counter(place.name.text.split(".")[0] for place in topics if "." in place.name.text)
    return [
        Destination(str(Name(True, f"{head}.{rest}")), "topic", f"wildcard: {count} topics now")
        for head, count in sorted(heads.items())
        if count > 1
    ]


def _subscription(place: Place) -> Destination:
    """Artemis's queue behind a durable or shared subscription: it can be browsed and consumed."""
    return msgspec.structs.replace(
        _destination(place), name=place.queue or "", kind="subscription queue"
    )


def _order(place: Place) -> tuple[bool, str]:
    return place.dead_letters, place.name.text


def _destination(place: Place) -> Destination:
    counts = []
    if place.waiting is not None:
        counts.append(f"{place.waiting} waiting")
    if place.consumers is not None:
        counts.append("1 consumer" if place.consumers == 1 else f"{place.consumers} consumers")
    if place.dead_letters:
        counts.insert(0, "dead letters")
    return Destination(
        str(place.name),
        place.kind,
        ", ".join(counts),
        dead_letters=place.dead_letters,
        links=tuple(place.links),
    )
