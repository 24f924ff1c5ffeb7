"""Dead letters: a topic to which consumers write what they give up. Read, never removed.

They are read partition by partition, oldest first in each: Kafka has no order across partitions,
and a position must say what comes after it.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from collectors.failures import failure
from collectors.kafka.config import KafkaConfig
from collectors.kafka.connection import Admin, Health, check_bootstrap, check_brokers
from collectors.kafka.consumer import reader
from collectors.kafka.offsets import EARLIEST, END, offsets_at
from collectors.kafka.problems import explain
from collectors.kafka.topics import describe
from collectors.kafka.translate import to_delivery
from eventhub.brokers.contract import DeadLetter, DeadLetterAccess, Outcome, Refused
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["ACCESS", "DeadLetters"]

ACCESS: Final = DeadLetterAccess(
    peeks=True,
    claims=False,
    note="The topic keeps its letters until its retention; they are read and never removed. What"
    " became of each is kept by EventHub alone.",
)
_READ_SECONDS: Final = 10.0
_CLIENT_ID: Final = "eventhub-dead-letters"


class DeadLetters:
    """See `eventhub.brokers.contract.DeadLetters`. Connects with the first look."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._admin: Admin | None = None
        self._client: confluent_kafka.Consumer | None = None

    def peek(self, queue: str, limit: int, after: str | None = None) -> list[DeadLetter]:
        client = self._connected()
        assert self._admin is not None
        topic = describe(self._admin, [queue])[0].get(queue)
        if topic is None:
            raise PermanentFailure(
                f"There is no topic {queue!r}, or this user may not see it.",
                way_out="Check the name, and that the user may describe and read it.",
            )
        partitions = [(queue, number) for number in topic.partitions]
        first = offsets_at(client, partitions, EARLIEST, self._config)
        ends = offsets_at(client, partitions, END, self._config)
        after_partition, after_offset = _place(after)
        letters: list[DeadLetter] = []
        for each, end in sorted(ends.items()):
            start = first.get(each, 0)
            if each[1] == after_partition:
                start = max(start, after_offset + 1)
            if each[1] >= after_partition and start < end and len(letters) < limit:
                records = self._read(
                    client, TopicPartition(*each, start), end, limit - len(letters)
                )
                letters += [_letter(record) for record in records]
        return letters

    def claim(self, queue: str, limit: int, max_wait: float) -> list[DeadLetter]:
        raise PermanentFailure(
            "Kafka cannot take single records out of a topic.",
            way_out="Look at the letters, and replay them; the topic's retention removes them.",
        )

    def remove(self, letters: Sequence[DeadLetter]) -> list[Outcome]:
        return [Refused("Kafka keeps its records until the topic's retention.")] * len(letters)

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """None was claimed."""

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._admin = None

    def _connected(self) -> confluent_kafka.Consumer:
        if self._client is None:
            check_bootstrap(self._config)
            self._admin = Admin(self._config, _CLIENT_ID)
            check_brokers(self._admin.cluster())
            self._client = reader(self._config, Health(self._config), _CLIENT_ID)
        return self._client

    def _read(
        self, client: confluent_kafka.Consumer, begin: TopicPartition, end: int, most: int
    ) -> list[Any]:
        """Records from `begin`, before `end`. Fewer than there are when the broker stalls."""
        client.assign([begin])
        records: list[Any] = []
        deadline = time.monotonic() + _READ_SECONDS
        try:
            while len(records) < most:
                came = client.consume(1, 0.2)
                if not came and time.monotonic() > deadline:
                    raise NotConnected(f"Reading {begin.topic!r} takes too long.")
                for record in came:
                    problem = record.error()
                    if problem is None:
                        records.append(record)
                    elif problem.code() == KafkaError._PARTITION_EOF:
                        return records
                    elif problem.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                        raise explain(problem, self._config)
                    if (record.offset() or 0) + 1 >= end:
                        return records
        except KafkaException as error:
            raise explain(error.args[0], self._config) from error
        finally:
            client.unassign()
        return records


def _place(position: str | None) -> tuple[int, int]:
    """Partition and offset."""
    if position is None:
        return -1, -1
    try:
        partition, offset = position.split("/")
        return int(partition), int(offset)
    except ValueError:
        raise PermanentFailure(f"{position!r} is no position in a topic.") from None


def _letter(record: Any) -> DeadLetter:
    # The frameworks' numbers are big-endian bytes, which may look like UTF-8: raw here.
    told = failure(dict(record.headers() or ()))
    delivery = to_delivery(record)
    return DeadLetter(
        delivery,
        origin=told.origin,
        reason=told.reason,
        attempts=told.attempts,
        # The letter was written to the topic when its consumer gave it up.
        died_at=told.died_at or delivery.broker_time or delivery.event_time,
        exception=told.exception,
        exception_message=told.exception_message,
        stack_trace=told.stack_trace,
    )
