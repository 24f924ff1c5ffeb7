"""Topics, and the consumer groups that read them."""

from collections import defaultdict
from contextlib import suppress
from typing import Final

from collectors.kafka.config import KafkaConfig
from collectors.kafka.connection import Admin, check_bootstrap, check_brokers
from collectors.kafka.groups import MOST, committed, group_names
from collectors.kafka.topics import matcher
from eventhub.brokers.contract import Destination, Link
from eventhub.brokers.errors import PermanentFailure

__all__ = ["discover"]

MOST_TOPICS: Final = 1_000


def discover(config: KafkaConfig) -> list[Destination]:
    """Kafka's own topics (`__…`) are left out. Raises BrokerError."""
    check_bootstrap(config)
    admin = Admin(config, "eventhub-discovery")
    found = admin.cluster()
    check_brokers(found)
    readers = _readers(admin)
    is_dead_letter_topic = matcher(config.dead_letter_topics)
    return [
        Destination(
            name,
            "topic",
            "1 partition" if len(partitions) == 1 else f"{len(partitions)} partitions",
            dead_letters=is_dead_letter_topic(name),
            links=tuple(readers[name]),
        )
        for name, partitions in sorted(found.others_topics().items())[:MOST_TOPICS]
    ]


def _readers(admin: Admin) -> dict[str, list[Link]]:
    """Topic → groups. None where this user may not see groups."""
    readers: dict[str, list[Link]] = defaultdict(list)
    with suppress(PermanentFailure):
        for group in committed(admin, group_names(admin)[:MOST])[0]:
            counts: dict[str, int] = defaultdict(int)
            for topic, _ in group.offsets:
                counts[topic] += 1
            for topic, count in counts.items():
                readers[topic].append(
                    Link(group.name, "consumer group", _detail(group.members, count))
                )
    return readers


def _detail(members: int | None, partitions: int) -> str:
    of = "1 partition" if partitions == 1 else f"{partitions} partitions"
    if members is None:
        return f"reads {of}"
    return f"{members} member{'' if members == 1 else 's'}, {of}"
