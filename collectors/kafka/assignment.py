"""Which partitions are read, and from where: followed as topics come, grow, go and are cut."""

import time
from typing import Final

import confluent_kafka
from confluent_kafka import TopicPartition

from collectors.kafka.config import KafkaConfig
from collectors.kafka.connection import Admin
from collectors.kafka.offsets import EARLIEST, Partition, offsets_at, starts
from collectors.kafka.problems import may_not_read, no_topic
from collectors.kafka.progress import Progress
from collectors.kafka.share import Share
from collectors.kafka.topics import Chosen, Topic, look
from eventhub.brokers.contract import Gap, Observation, StartFrom

__all__ = ["Assignment"]

LOOK_EVERY: Final = 5.0
"""Seconds between two looks for new topics and partitions."""


class Assignment:
    """What `client` reads. `progress` is told where it begins."""

    def __init__(
        self,
        config: KafkaConfig,
        observation: Observation,
        admin: Admin,
        client: confluent_kafka.Consumer,
        progress: Progress,
    ) -> None:
        self._config = config
        self._observation = observation
        self._admin = admin
        self._client = client
        self._progress = progress
        self._chosen = Chosen(config.topics)
        self._share = Share(observation.share, observation.shares)
        self._reading: set[Partition] = set()
        self._gaps: list[Gap] = []
        self._first = True
        self.look_due = 0.0
        """Of the monotonic clock."""
        self._opened = observation.last_seen or _now()
        self._signs: dict[Partition, int] = {}
        """When a partition last told something, ms: what it lost came later."""

    def reached(self, partition: Partition, offset: int) -> None:
        """All before `offset` was received."""
        self._progress.move(partition, offset)
        self._signs[partition] = _now()

    def take_gaps(self) -> list[Gap]:
        gaps, self._gaps = self._gaps, []
        return gaps

    def look(self) -> None:
        """Take in what is new, and let go what is gone. Raises BrokerError."""
        topics, hidden = look(self._admin, self._chosen)
        if not topics:
            self._say_why(hidden)
        begun = self._begin(topics)
        gone = {each for each in self._reading if not _has(topics, each)}
        fresh = {each: offset for each, offset in begun.items() if each not in self._reading}
        self._let_go(gone)
        if fresh:
            self._client.incremental_assign(
                [TopicPartition(*each, offset) for each, offset in fresh.items()]
            )
            self._reading |= fresh.keys()
        self._first = False
        self.look_due = time.monotonic() + LOOK_EVERY

    def _say_why(self, hidden: list[str]) -> None:
        """Raises PermanentFailure where what is read by name is not there. Only once the checkpoint
        holds which topics were chosen: what appears later is then read from its beginning."""
        if self._progress.changes:
            return
        if hidden:
            raise may_not_read(hidden[0])
        if self._chosen.names:
            raise no_topic(self._chosen.names)

    def skip(self, partition: Partition) -> None:
        """The place to read at is not kept (any more): go on at the earliest that is."""
        kept = offsets_at(self._client, [partition], EARLIEST, self._config)
        if partition not in kept:
            self.look_due = 0.0
            return
        earliest, wanted = kept[partition], self._progress.offset(partition) or 0
        if earliest > wanted:
            lost = earliest - wanted
            self._gap([partition], "The log was cut before it was read (its retention).", lost)
        else:
            reason = "The log ends before the place that was reached: it was cut."
            self._gap([partition], reason)
        self._progress.move(partition, earliest)
        # A seek is an erroneous state after this error; a new assignment is not.
        self._client.incremental_unassign([TopicPartition(*partition)])
        self._client.incremental_assign([TopicPartition(*partition, earliest)])

    def _begin(self, topics: dict[str, Topic]) -> dict[Partition, int]:
        """Where to read each partition that is not read yet.

        One that has no leader is left to the next look, and counts as new then.
        """
        known: dict[Partition, int] = {}
        from_beginning: list[Partition] = []
        from_start: list[Partition] = []
        for topic in topics.values():
            own = [each for each in topic.parts() if self._share.has(each)]
            if replaced := self._progress.replaced(topic, own):
                self._let_go(self._reading.intersection(replaced))
                self._gap(replaced, "The topic was deleted and made again.")
            for partition in own:
                offset = self._progress.offset(partition)
                if offset is not None:
                    known[partition] = offset
                elif not self._first or self._progress.is_later(partition):
                    from_beginning.append(partition)
                else:
                    from_start.append(partition)
        begun = offsets_at(self._client, from_beginning, EARLIEST, self._config)
        begun |= starts(self._client, from_start, *self._start(), self._config)
        for partition, offset in begun.items():
            self._progress.begin(partition, offset, topics[partition[0]].id)
        return known | begun

    def _let_go(self, partitions: set[Partition]) -> None:
        if partitions:
            self._client.incremental_unassign([TopicPartition(*each) for each in partitions])
            self._reading -= partitions

    def _gap(self, lost: list[Partition], reason: str, missed: int | None = None) -> None:
        """Of partitions of one topic."""
        started = min(self._signs.get(each, self._opened) for each in lost)
        self._gaps.append(Gap(reason, started, _now(), missed, lost[0][0]))

    def _start(self) -> tuple[StartFrom, int | None]:
        observation = self._observation
        if observation.last_seen is not None and not observation.checkpoint:
            # It was connected and nothing was stored yet: what came since is not given up.
            return StartFrom.TIME, observation.last_seen
        return observation.start, observation.start_time


def _has(topics: dict[str, Topic], partition: Partition) -> bool:
    topic = topics.get(partition[0])
    return topic is not None and partition[1] in topic.partitions


def _now() -> int:
    return time.time_ns() // 1_000_000
