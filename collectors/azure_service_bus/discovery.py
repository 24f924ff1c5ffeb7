"""Queues, topics, their subscriptions with their rules, and the dead-letter queue of each."""

from typing import Final

from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.administration import Administration, Found
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.depth import subscriptions_of
from collectors.azure_service_bus.entities import Entity
from eventhub.brokers.contract import Destination, Link

__all__ = ["discover"]

_MOST: Final = 1_000
_CONNECTIONS: Final = 8
_MOST_RULES: Final = 200
"""Subscriptions whose rules are read: one call each."""


def discover(config: AzureServiceBusConfig) -> list[Destination]:
    """Topics first, then queues, subscriptions and dead-letter queues. Raises NotConnected or
    PermanentFailure."""
    reached = access(config)
    connections = [Administration(reached) for _ in range(_CONNECTIONS)]
    try:
        queues = list(connections[0].queues())
        topics = list(connections[0].topics())
        held = list(subscriptions_of(topics, connections))
        rules = _Rules(connections[0])
        found = [_topic(topic, subscriptions, rules) for topic, subscriptions in held]
        found += [_queue(queue) for queue in queues]
        found += [
            _subscription(Entity(topic.name, each.name), each)
            for topic, subscriptions in held
            for each in subscriptions
        ]
    finally:
        for each in connections:
            each.close()
    entities = [Entity(queue.name) for queue in queues]
    entities += [Entity(topic.name, each.name) for topic, some in held for each in some]
    return (found + [_dead(entity) for entity in entities])[:_MOST]


class _Rules:
    """What the rules of a subscription let through, as long as asking is cheap."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration
        self._left = _MOST_RULES

    def of(self, topic: str, subscription: str) -> str:
        if self._left <= 0:
            return ""
        self._left -= 1
        rules = self._administration.rules(topic, subscription)
        return " OR ".join(rule.filter for rule in rules) or "nothing"


def _topic(topic: Found, subscriptions: list[Found], rules: _Rules) -> Destination:
    links = tuple(
        Link(Entity(topic.name, each.name).path, "subscription", rules.of(topic.name, each.name))
        for each in subscriptions
    )
    count = len(subscriptions)
    detail = "1 subscription" if count == 1 else f"{count} subscriptions"
    return Destination(topic.name, "topic", detail, links=links)


def _queue(queue: Found) -> Destination:
    entity = Entity(queue.name)
    return Destination(entity.path, "queue", _detail(queue), links=_links(entity, queue))


def _subscription(entity: Entity, found: Found) -> Destination:
    links = _links(entity, found)
    return Destination(entity.path, "subscription", _detail(found), links=links)


def _dead(entity: Entity) -> Destination:
    return Destination(
        entity.with_dead_letters().path,
        "dead-letter queue",
        f"of {entity.path}",
        dead_letters=True,
    )


def _links(entity: Entity, found: Found) -> tuple[Link, ...]:
    limit = found.fields.get("MaxDeliveryCount", "?")
    links = [Link(entity.with_dead_letters().path, "dead-lettering", f"after {limit} deliveries")]
    for field, kind in (
        ("ForwardTo", "forwarding"),
        ("ForwardDeadLetteredMessagesTo", "forwarding of dead letters"),
    ):
        if target := found.fields.get(field):
            links.append(Link(target.split("://", 1)[-1].partition("/")[2] or target, kind))
    return tuple(links)


def _detail(found: Found) -> str:
    facts = [f"{found.counts.active} waiting"]
    if found.fields.get("RequiresSession") == "true":
        facts.append("requires sessions")
    if found.fields.get("EnablePartitioning") == "true":
        facts.append("partitioned")
    return ", ".join(facts)
