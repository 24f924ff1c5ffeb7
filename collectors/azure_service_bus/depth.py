"""How many messages wait, by the administration API's counts."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.administration import Administration, Found
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.entities import Entity
from eventhub.brokers.contract import Depth, Depths

__all__ = ["DepthProbe", "subscriptions_of"]

_CONNECTIONS: Final = 8


class DepthProbe:
    """One call for each 100 queues or topics, and one for each topic that has subscriptions:
    the API lists those of one topic only. Keeps its connections."""

    def __init__(self, config: AzureServiceBusConfig) -> None:
        reached = access(config)
        self._connections = [Administration(reached) for _ in range(_CONNECTIONS)]

    def sample(self, limit: int) -> Depths:
        """Raises NotConnected or PermanentFailure."""
        first = self._connections[0]
        samples = [
            depth for queue in first.queues() for depth in _depths(Entity(queue.name), queue)
        ]
        topics = list(first.topics())
        for topic, subscriptions in subscriptions_of(topics, self._connections):
            samples.extend(_of_topic(topic))
            for each in subscriptions:
                samples.extend(_depths(Entity(topic.name, each.name), each))
        samples.sort(key=lambda depth: -(depth.waiting or 0))
        return Depths(samples[:limit], max(0, len(samples) - limit))

    def close(self) -> None:
        for each in self._connections:
            each.close()


def subscriptions_of(
    topics: list[Found], connections: list[Administration]
) -> Iterable[tuple[Found, list[Found]]]:
    """The subscriptions of each topic, asked for over several connections at once."""

    def ask(number: int) -> list[tuple[Found, list[Found]]]:
        mine = topics[number :: len(connections)]
        return [(topic, _subscriptions(connections[number], topic)) for topic in mine]

    with ThreadPoolExecutor(len(connections)) as pool:
        for part in pool.map(ask, range(min(len(connections), len(topics)))):
            yield from part


def _subscriptions(administration: Administration, topic: Found) -> list[Found]:
    if topic.fields.get("SubscriptionCount") == "0":
        return []
    return list(administration.subscriptions(topic.name))


def _depths(entity: Entity, found: Found) -> list[Depth]:
    """What waits, what is dead, and what waits to be forwarded or for its time."""
    counts = found.counts
    samples = [
        Depth(entity.path, waiting=counts.active),
        Depth(entity.with_dead_letters().path, waiting=counts.dead, dead_letters=True),
    ]
    return samples + _beside(entity.path, scheduled=counts.scheduled, transfer=counts.transfer)


def _of_topic(topic: Found) -> list[Depth]:
    """A topic itself keeps scheduled messages only."""
    return _beside(topic.name, scheduled=topic.counts.scheduled)


def _beside(path: str, **counts: int) -> list[Depth]:
    """Rows of their own, by the broker's word for it, where there are any."""
    return [Depth(path, waiting=count, group=what) for what, count in counts.items() if count]
