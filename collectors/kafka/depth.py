"""Lag of every consumer group, letters in dead-letter topics, and rates.

A log has no depth of its own: its records stay whoever has read them. What waits is what a group
has not committed yet, a sample for each of its partitions. A topic that no group reads has a rate
and no depth; only a dead-letter topic counts what it keeps.
"""

import time
from collections.abc import Iterable, Iterator

import confluent_kafka
import msgspec

from collectors.kafka.config import KafkaConfig
from collectors.kafka.connection import Admin, Health, check_bootstrap, check_brokers
from collectors.kafka.consumer import reader
from collectors.kafka.groups import MOST, Group, committed, group_names
from collectors.kafka.offsets import EARLIEST, END, Partition, offsets_at
from collectors.kafka.topics import matcher
from eventhub.brokers.contract import Depth, Depths

__all__ = ["DepthProbe"]

_CLIENT_ID = "eventhub-depth"


class _Look(msgspec.Struct):
    """What was there at one moment."""

    at: float
    ends: dict[Partition, int]
    groups: list[Group]


class DepthProbe:
    """See `eventhub.brokers.contract.DepthProbe`. Five kinds of calls: topics, groups, members,
    offsets of ends, and one small one for each group, 50 at once."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._is_dead_letter_topic = matcher(config.dead_letter_topics)
        self._admin: Admin | None = None
        self._client: confluent_kafka.Consumer | None = None
        self._last: _Look | None = None

    def sample(self, limit: int) -> Depths:
        admin, client = self._connected()
        partitions = [
            (topic, number)
            for topic, numbers in admin.cluster().others_topics().items()
            for number in numbers
        ]
        names = group_names(admin)
        groups, failed = committed(admin, names[:MOST])
        now = _Look(time.monotonic(), offsets_at(client, partitions, END, self._config), groups)
        samples = [*self._lags(now), *self._topics(client, now)]
        self._last = now
        samples.sort(key=lambda sample: -1 if sample.waiting is None else sample.waiting)
        samples.reverse()
        left_out = max(0, len(samples) - limit) + max(0, len(names) - MOST) + failed
        return Depths(samples[:limit], left_out)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._admin = None

    def _connected(self) -> tuple[Admin, confluent_kafka.Consumer]:
        if self._admin is None or self._client is None:
            check_bootstrap(self._config)
            self._admin = Admin(self._config, _CLIENT_ID)
            check_brokers(self._admin.cluster())
            self._client = reader(self._config, Health(self._config), _CLIENT_ID)
        return self._admin, self._client

    def _lags(self, now: _Look) -> Iterator[Depth]:
        before = {group.name: group for group in self._last.groups} if self._last else {}
        for group in now.groups:
            old = before.get(group.name)
            for partition, offset in group.offsets.items():
                end = now.ends.get(partition)
                if end is None:  # its topic was deleted, or is one of Kafka's own
                    continue
                yield Depth(
                    partition[0],
                    waiting=max(0, end - offset),
                    consumers=group.members,
                    in_rate=self._in_rate(now, [partition]),
                    out_rate=self._rate(now, offset, old.offsets.get(partition) if old else None),
                    group=group.name,
                    partition=partition[1],
                    dead_letters=self._is_dead_letter_topic(partition[0]),
                )

    def _topics(self, client: confluent_kafka.Consumer, now: _Look) -> Iterator[Depth]:
        """A sample for each topic that no group reads, and for each dead-letter topic."""
        read = {topic for group in now.groups for topic, _ in group.offsets}
        topics: dict[str, list[Partition]] = {}
        for partition in now.ends:
            topics.setdefault(partition[0], []).append(partition)
        dead = {name for name in topics if self._is_dead_letter_topic(name)}
        first = offsets_at(
            client, [each for name in dead for each in topics[name]], EARLIEST, self._config
        )
        for name, partitions in topics.items():
            if name in read and name not in dead:
                continue
            kept = sum(now.ends[each] - first.get(each, now.ends[each]) for each in partitions)
            yield Depth(
                name,
                waiting=kept if name in dead else None,
                consumers=None if name in read else 0,
                in_rate=self._in_rate(now, partitions),
                dead_letters=name in dead,
            )

    def _in_rate(self, now: _Look, partitions: Iterable[Partition]) -> float | None:
        if self._last is None:
            return None
        ends = self._last.ends
        known = [each for each in partitions if each in ends]
        return self._rate(
            now, sum(now.ends[each] for each in known), sum(ends[each] for each in known)
        )

    def _rate(self, now: _Look, count: int, before: int | None) -> float | None:
        """A second; an offset that was set back is no negative rate."""
        if self._last is None or before is None or now.at <= self._last.at:
            return None
        return max(0.0, (count - before) / (now.at - self._last.at))
