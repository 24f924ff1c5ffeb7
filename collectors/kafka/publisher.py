"""Publishes with an idempotent producer: all replicas acknowledge, hundreds in flight.

Every message gets a delivery report. One that timed out may have been written, and librdkafka does
not say through Python whether it was ever sent: it is unknown.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from collectors.kafka.config import KafkaConfig
from collectors.kafka.connection import Admin, Health, check_bootstrap, check_brokers, settings
from collectors.kafka.problems import explain, forbidden
from collectors.kafka.topics import Topic, describe
from collectors.kafka.translate import record_headers, record_key, record_value
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown

__all__ = ["PUBLISHES_TO", "Publisher"]

PUBLISHES_TO: Final = (
    "topic (the message's key chooses the partition, as Java's producers do), or topic/partition."
)
CONFIRM_SECONDS: Final = 10.0
_LOOK_EVERY: Final = 30.0
"""Seconds for which a topic is taken to be there."""
_BATCH_BYTES: Final = 100_000
_CLIENT_ID: Final = "eventhub-publisher"

_REFUSALS: Final = {
    KafkaError.MSG_SIZE_TOO_LARGE: "It is larger than the topic takes (max.message.bytes).",
    KafkaError.RECORD_LIST_TOO_LARGE: "It is larger than a segment of the topic's log.",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "There is no such topic or partition.",
    KafkaError._UNKNOWN_TOPIC: "There is no such topic.",
    KafkaError._UNKNOWN_PARTITION: "The topic has no such partition.",
    KafkaError.TOPIC_EXCEPTION: "No topic can have this name.",
    KafkaError.INVALID_RECORD: "The broker takes no such record; a compacted topic needs a key.",
    KafkaError.INVALID_TIMESTAMP: "The topic does not take the time of this message.",
    KafkaError.POLICY_VIOLATION: "A policy of the broker is against it.",
    KafkaError.NOT_ENOUGH_REPLICAS: "Too few replicas are in sync (min.insync.replicas).",
    KafkaError._PURGE_QUEUE: "It was not sent: those before it got no answer.",
}


class Publisher:
    """See `eventhub.brokers.contract.Publisher`. Connects with the first message."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._health = Health(config)
        self._admin: Admin | None = None
        self._producer: confluent_kafka.Producer | None = None
        self._looked: dict[str, tuple[float, Topic | None]] = {}
        self._outcomes: dict[int, Outcome] = {}

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if not messages:
            return []
        topic, slash, number = target.partition("/")
        refusal = self._refusal(topic, number if slash else None)
        if refusal is not None:
            return [refusal] * len(messages)
        producer = self._connected()
        outcomes: dict[int, Outcome] = {}
        self._outcomes = outcomes
        for n, message in enumerate(messages):
            self._send(producer, n, message, topic, int(number) if slash else -1)
        self._await(producer, len(messages))
        if any(isinstance(outcome, Unknown) for outcome in outcomes.values()):
            # Its sequence has a hole, and what it still holds must not be written later.
            self._producer = None
        return [outcomes.get(n, _NO_REPORT) for n in range(len(messages))]

    def close(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer.poll(0)
        self._producer = self._admin = None

    def _refusal(self, topic: str, number: str | None) -> Refused | None:
        """Why nothing can be sent there. Raises BrokerError when the cluster is away."""
        found = self._look(topic)
        if found is None:
            return Refused(f"There is no topic {topic!r}, or this user may not see it.")
        if number is not None and (not number.isdecimal() or int(number) not in found.partitions):
            return Refused(f"The topic {topic!r} has no partition {number!r}.")
        return None

    def _look(self, topic: str) -> Topic | None:
        """Asked by an admin client, because a producer would wait for a missing topic."""
        if self._producer is not None:
            self._producer.poll(0)
        now = time.monotonic()
        due, known = self._looked.get(topic, (0.0, None))
        if known is not None and now < due and not self._health.down:
            return known
        if self._admin is None:
            check_bootstrap(self._config)
            self._admin = Admin(self._config, _CLIENT_ID)
        check_brokers(self._admin.cluster())
        self._health.clear()
        found = describe(self._admin, [topic])[0].get(topic) if topic else None
        self._looked[topic] = (now + _LOOK_EVERY, found)
        return found

    def _connected(self) -> confluent_kafka.Producer:
        if self._producer is None:
            self._health = Health(self._config)
            try:
                self._producer = confluent_kafka.Producer(
                    {
                        **settings(self._config, self._health, _CLIENT_ID),
                        "enable.idempotence": True,
                        "acks": "all",
                        "linger.ms": 5,
                        "message.timeout.ms": int(CONFIRM_SECONDS * 1000),
                        # The broker decides what is too large, and it decides for a whole batch:
                        # small batches, so that a topic's own limit meets one large message.
                        "message.max.bytes": 1_000_000_000,
                        "batch.size": _BATCH_BYTES,
                        "topic.metadata.propagation.max.ms": 2_000,
                        # As Java's producers choose: a replayed key gets to its partition.
                        "partitioner": "murmur2_random",
                    }
                )
            except KafkaException as error:
                raise explain(error.args[0], self._config) from error
        return self._producer

    def _send(
        self, producer: confluent_kafka.Producer, n: int, message: Message, topic: str, number: int
    ) -> None:
        try:
            headers, key = record_headers(message), record_key(message)
        except UnicodeEncodeError:
            self._outcomes[n] = Refused("Its key or a header cannot be written as UTF-8.")
            return
        while True:
            try:
                producer.produce(
                    topic, record_value(message), key, number,
                    on_delivery=partial(self._report, n), headers=headers,
                )  # fmt: skip
            except BufferError:  # as many as it holds: make room
                producer.poll(0.1)
            except KafkaException as error:
                self._outcomes[n] = _outcome(error.args[0])
                return
            else:
                producer.poll(0)
                return

    def _await(self, producer: confluent_kafka.Producer, count: int) -> None:
        deadline = time.monotonic() + CONFIRM_SECONDS + 2
        while len(self._outcomes) < count and time.monotonic() < deadline:
            producer.poll(0.1)
        if len(self._outcomes) < count:
            producer.purge()
            producer.poll(0.1)

    def _report(self, n: int, error: KafkaError | None, record: confluent_kafka.Message) -> None:
        if error is None:
            self._outcomes[n] = Confirmed(f"{record.partition()}/{record.offset()}")
        else:
            self._outcomes[n] = _outcome(error)


_NO_REPORT: Final = Unknown("Kafka's client gave no report of it.")


def _outcome(error: KafkaError) -> Outcome:
    if forbidden(error):
        return Refused(f"This user may not write to the topic ({error.str()}).")
    if words := _REFUSALS.get(error.code()):
        return Refused(words)
    if error.code() == KafkaError._MSG_TIMED_OUT:
        return Unknown("No answer came in time. It may or may not have been written.")
    return Unknown(f"{error.str()}. It may or may not have been written.")
