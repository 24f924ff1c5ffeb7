"""Reads the log with offsets of our own: no group is joined, nothing is committed.

Settling is nothing to the broker: it keeps the log, and where to go on is stored with the events.
"""

import time
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from collectors.kafka.assignment import Assignment
from collectors.kafka.config import KafkaConfig
from collectors.kafka.connection import (
    Admin,
    Health,
    check_bootstrap,
    check_brokers,
    settings,
)
from collectors.kafka.offsets import Partition
from collectors.kafka.problems import explain, forbidden, may_not_read
from collectors.kafka.progress import Progress
from collectors.kafka.share import Share
from collectors.kafka.translate import to_delivery
from eventhub.brokers.contract import Delivery, Observation, Received
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Consumer", "reader"]

_BUFFERED_KBYTES: Final = 32 * 1024


def reader(config: KafkaConfig, health: Health, client_id: str) -> confluent_kafka.Consumer:
    """A client that reads without a group. Raises PermanentFailure for settings that cannot work.

    librdkafka makes no consumer without a `group.id`, and asks the cluster who would coordinate
    that group. The group itself never comes to be; a cluster that never had one makes its topic
    `__consumer_offsets` at that question.
    """
    try:
        return confluent_kafka.Consumer(
            {
                **settings(config, health, client_id),
                "group.id": client_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                # The end tells an offset behind the markers of transactions, which no record has.
                "enable.partition.eof": True,
                "queued.max.messages.kbytes": _BUFFERED_KBYTES,
                # At the end of the log the default answers a fetch for nearly each record: 494 to
                # 713 a second at 2,000 records a second, and 22 to 38 with these.
                "fetch.min.bytes": 65_536,
                "fetch.wait.max.ms": 100,
                # A store that is away stops the reading, and that must not count as a crash.
                "max.poll.interval.ms": 86_400_000,
            }
        )
    except KafkaException as error:
        raise explain(error.args[0], config) from error


class Consumer:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: KafkaConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        share = Share(observation.share, observation.shares)
        self._progress = Progress(observation.checkpoint, config.topics, share)
        self._health = Health(config)
        self._client: confluent_kafka.Consumer | None = None
        self._assignment: Assignment | None = None

    def open(self) -> None:
        if not self._config.topics:
            raise PermanentFailure(
                "No topic is chosen.", way_out="Choose topics, or a pattern such as orders.*"
            )
        check_bootstrap(self._config)
        client_id = f"eventhub-{self._observation.source_id}"
        admin = Admin(self._config, client_id)
        check_brokers(admin.cluster())
        self._client = reader(self._config, self._health, client_id)
        self._assignment = Assignment(
            self._config, self._observation, admin, self._client, self._progress
        )
        self._assignment.look()

    def receive(self, max_messages: int, max_wait: float) -> Received:
        client, assignment = self._client, self._assignment
        if client is None or assignment is None:
            raise NotConnected("The consumer is closed.")
        deadline = time.monotonic() + max_wait
        while True:
            if time.monotonic() >= assignment.look_due:
                assignment.look()
            records = _take(client, max_messages, min(deadline, assignment.look_due))
            deliveries = self._translate(records, assignment)
            gaps = assignment.take_gaps()
            if deliveries or gaps:
                break
            if self._health.down:
                raise self._health.problem()
            if time.monotonic() >= deadline:
                break
        return Received(deliveries, gaps, self._progress.take_changes())

    def settle(self, received: Received) -> None:
        """The checkpoint is all there is to settle, and the store has it."""

    def keep_alive(self) -> None:
        """librdkafka keeps its connections in threads of its own, and stops to fetch when its
        buffer is full."""

    def close(self) -> None:
        self._assignment = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def _translate(self, records: list[Any], assignment: Assignment) -> list[Delivery]:
        deliveries: list[Delivery] = []
        ends: dict[Partition, int] = {}
        for record in records:
            error = record.error()
            partition = (record.topic(), record.partition())
            if error is None:
                deliveries.append(to_delivery(record))
                ends[partition] = record.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                ends[partition] = record.offset()
            elif error.code() in _CUT:
                if partition in ends:
                    assignment.reached(partition, ends.pop(partition))
                assignment.skip(partition)
            else:
                self._on_error(error, partition[0], assignment)
        for partition, offset in ends.items():
            assignment.reached(partition, offset)
        return deliveries

    def _on_error(self, error: KafkaError, topic: str | None, assignment: Assignment) -> None:
        """What librdkafka reports in the place of a record. The rest it mends by itself."""
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return  # of the group that only librdkafka insists on; nothing is missed
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):
            assignment.look_due = 0.0  # deleted, or moved: the next look tells
        elif forbidden(error):
            raise may_not_read(topic or "a topic")
        elif error.fatal():
            raise explain(error, self._config)


_CUT: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION)


def _take(client: confluent_kafka.Consumer, most: int, deadline: float) -> list[Any]:
    """What is there, at once; else the first to come. `consume` alone would wait for all."""
    records = client.consume(most, 0)
    if not records:
        records = client.consume(1, max(0.0, deadline - time.monotonic()))
        if records and most > 1:
            records += client.consume(most - 1, 0)
    return records
