"""Apache Kafka: a full topic, and what confluent-kafka does with nothing around it."""

import time
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from benchmarks.case import Broker, Case, Place
from tests.brokers.kafka.server import running

__all__ = ["BROKER"]

_BATCH: Final = 1_000
_PARTITIONS: Final = 4


def fill(address: str, topic: str, payload: bytes, count: int) -> None:
    """Make a topic of four partitions, and put so many records into it."""
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, _PARTITIONS, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": address, "linger.ms": 20})
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_type", b"OrderPlaced"),
        ("tenant", b"acme"),
        ("correlation-id", b"c" * 32),
    ]
    for number in range(count):
        while True:
            try:
                producer.produce(topic, payload, b"%d" % number, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def receive_raw(address: str, topic: str, count: int) -> float:
    """Records a second that confluent-kafka hands over, a thousand at a time."""
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "raw", "enable.auto.commit": False}
    )
    consumer.assign(
        [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(_PARTITIONS)]
    )
    received = 0
    began = time.perf_counter()
    while received < count:
        received += len(consumer.consume(_BATCH, 0.1))
    took = time.perf_counter() - began
    consumer.close()
    return count / took


def _case(place: Place, name: str) -> Case:
    return Case(
        {"bootstrap_servers": [place["address"]], "topics": [name]},
        "earliest",
        lambda payload, count, _: fill(place["address"], name, payload, count),
        lambda count: receive_raw(place["address"], name, count),
    )


BROKER: Final = Broker(
    running,
    lambda server: {"address": f"127.0.0.1:{server.port}"},
    _case,
    4.0,
)
