"""Apache Kafka, observed by reading its log with offsets of EventHub's own."""

from collections.abc import Iterator
from typing import ClassVar

from collectors.kafka.check import check_connection
from collectors.kafka.config import KafkaConfig
from collectors.kafka.consumer import Consumer
from collectors.kafka.dead_letters import ACCESS, DeadLetters
from collectors.kafka.depth import DepthProbe
from collectors.kafka.discovery import discover
from collectors.kafka.publisher import PUBLISHES_TO, Publisher
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Capabilities,
    Completeness,
    Destination,
    Mode,
    Observation,
    ReadSafety,
    StartFrom,
    Step,
)

__all__ = ["Kafka", "KafkaConfig"]


class Kafka:
    """The adapter; see `eventhub.brokers.contract.Adapter`."""

    kind: ClassVar[str] = "kafka"
    title: ClassVar[str] = "Apache Kafka"
    config: ClassVar[type[BrokerConfig]] = KafkaConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(
            Mode(
                name="log",
                safety=ReadSafety.HARMLESS,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW, StartFrom.EARLIEST, StartFrom.TIME),
                effect="Reads the log as one more client, and costs the brokers what one more"
                " reader does. It joins no consumer group and commits no offset. Where no consumer"
                " group ever was, Kafka makes its own topic __consumer_offsets.",
                blind_spot="Records that compaction or retention removed before they were read (a"
                " gap says so for retention), and those of aborted transactions.",
            ),
        ),
        publishes_to=PUBLISHES_TO,
        dead_letters=ACCESS,
    )

    def consumer(self, config: KafkaConfig, observation: Observation) -> Consumer:
        return Consumer(config, observation)

    def publisher(self, config: KafkaConfig) -> Publisher:
        return Publisher(config)

    def depth(self, config: KafkaConfig) -> DepthProbe:
        return DepthProbe(config)

    def dead_letters(self, config: KafkaConfig) -> DeadLetters:
        return DeadLetters(config)

    def discover(self, config: KafkaConfig) -> list[Destination]:
        return discover(config)

    def check_connection(self, config: KafkaConfig) -> Iterator[Step]:
        return check_connection(config)

    def remove_traces(self, config: KafkaConfig, observation: Observation) -> None:
        """There are none of ours. `__consumer_offsets` is Kafka's, and all groups share it."""
