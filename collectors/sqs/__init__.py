"""Amazon SQS, observed by a queue of EventHub's own behind SNS or EventBridge."""

from collections.abc import Iterator
from typing import ClassVar

from collectors.sqs.check import check_connection
from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import Clients
from collectors.sqs.consumer import Consumer
from collectors.sqs.dead_letters import ACCESS, DeadLetters
from collectors.sqs.depth import DepthProbe
from collectors.sqs.discovery import discover
from collectors.sqs.publisher import PUBLISHES_TO, Publisher
from collectors.sqs.tap import Tap
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

__all__ = ["SQS", "SQSConfig"]


class SQS:
    """The adapter; see `eventhub.brokers.contract.Adapter`."""

    kind: ClassVar[str] = "sqs"
    title: ClassVar[str] = "Amazon SQS"
    config: ClassVar[type[BrokerConfig]] = SQSConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(
            Mode(
                name="tap",
                safety=ReadSafety.ADDS_A_BOUNDED_QUEUE,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW,),
                effect="A queue of EventHub's own gets a copy of what the chosen SNS topics or the"
                " EventBridge bus send. It keeps messages for a limited time; publishers and other"
                " subscribers notice nothing. It stays until the source is deleted.",
                blind_spot="Messages sent straight to a work queue: SQS has no harmless read of"
                " one. Receiving hides a message and counts towards its dead-lettering.",
                settles=True,
            ),
            Mode(
                name="consume",
                safety=ReadSafety.TAKES_MESSAGES,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.EARLIEST,),
                effect="TAKES every message that it receives from the chosen queues and DELETES it"
                " there: the queues' own consumers do not get it. Receiving also raises a message's"
                " receive count, which can dead-letter it.",
                blind_spot="What the queues' own consumers receive first.",
                settles=True,
            ),
        ),
        publishes_to=PUBLISHES_TO,
        dead_letters=ACCESS,
    )

    def consumer(self, config: SQSConfig, observation: Observation) -> Consumer:
        return Consumer(config, observation)

    def publisher(self, config: SQSConfig) -> Publisher:
        return Publisher(config)

    def depth(self, config: SQSConfig) -> DepthProbe:
        return DepthProbe(config)

    def dead_letters(self, config: SQSConfig) -> DeadLetters:
        return DeadLetters(config)

    def discover(self, config: SQSConfig) -> list[Destination]:
        return discover(config)

    def check_connection(self, config: SQSConfig) -> Iterator[Step]:
        return check_connection(config)

    def remove_traces(self, config: SQSConfig, observation: Observation) -> None:
        """Removes the tap queue with its subscriptions and its rule; never a prepared queue."""
        clients = Clients(config, attempts=2)
        try:
            Tap(clients, config, observation).remove()
        finally:
            clients.close()
