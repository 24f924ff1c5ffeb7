"""Where to begin in a partition, and how far it goes. One request to each leader, not a partition.

`offsets_for_times` passes what it is given for a time on to the broker, and Kafka's protocol has
two that are none: -1 is the end (of what is committed), -2 the earliest kept
(https://kafka.apache.org/protocol#The_Messages_ListOffsets).
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from collectors.kafka.config import KafkaConfig
from collectors.kafka.problems import explain
from eventhub.brokers.contract import StartFrom
from eventhub.brokers.errors import NotConnected

__all__ = ["EARLIEST", "END", "Partition", "offsets_at", "starts"]

Partition: TypeAlias = tuple[str, int]
"""Topic and number."""

END: Final = -1
EARLIEST: Final = -2
_CALL_SECONDS: Final = 5.0
_NOT_KNOWN: Final = (
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.NOT_LEADER_FOR_PARTITION,  # of a topic that was made a moment ago
    KafkaError.LEADER_NOT_AVAILABLE,
)
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.1


def offsets_at(
    client: confluent_kafka.Consumer,
    partitions: Iterable[Partition],
    moment: int,
    config: KafkaConfig,
) -> dict[Partition, int]:
    """The offset of the first record at or after `moment` (ms), or at END or EARLIEST.

    -1 where there is none. Partitions that cannot tell now (no leader, just deleted) are left out.
    """
    asked = [TopicPartition(topic, number, moment) for topic, number in partitions]
    if not asked:
        return {}
    try:
        told = _ask(client, asked)
    except KafkaException as error:
        if error.args[0].code() in _NOT_KNOWN:
            return {}
        raise explain(error.args[0], config) from error
    return {(each.topic, each.partition): each.offset for each in told if each.error is None}


def _ask(client: confluent_kafka.Consumer, asked: list[TopicPartition]) -> list[TopicPartition]:
    """One unknown partition fails them all: a client knows those that it last heard of."""
    for _ in range(_TRIES):
        try:
            return client.offsets_for_times(asked, timeout=_CALL_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _NOT_KNOWN:
                raise
        client.list_topics(timeout=_CALL_SECONDS)
        time.sleep(_PAUSE_SECONDS)
    return client.offsets_for_times(asked, timeout=_CALL_SECONDS)


def starts(
    client: confluent_kafka.Consumer,
    partitions: Sequence[Partition],
    start: StartFrom,
    start_time: int | None,
    config: KafkaConfig,
) -> dict[Partition, int]:
    """Where to begin in partitions that were not read before."""
    if start is StartFrom.EARLIEST:
        return offsets_at(client, partitions, EARLIEST, config)
    # The end is asked first: what comes between the two calls is after it.
    ends = offsets_at(client, partitions, END, config)
    if partitions and not ends:
        raise NotConnected("The topics have no leader now, so nothing tells where to begin.")
    if start is StartFrom.NOW:
        return ends
    first = offsets_at(client, partitions, start_time or 0, config)
    return {
        each: offset if (offset := first.get(each, -1)) >= 0 else end for each, end in ends.items()
    }
