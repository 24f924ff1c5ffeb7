"""RabbitMQ: exchanges by a tap or the firehose, streams as a log, queues by consuming them."""

from collections.abc import Iterator
from typing import ClassVar

from collectors.rabbitmq.check import check_connection
from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.connection import connect
from collectors.rabbitmq.consumer import Consumer
from collectors.rabbitmq.dead_letters import ACCESS, DeadLetters
from collectors.rabbitmq.depth import DepthProbe
from collectors.rabbitmq.discovery import discover
from collectors.rabbitmq.publisher import PUBLISHES_TO, Publisher
from collectors.rabbitmq.reader import Reader
from collectors.rabbitmq.tap import Tap, queue_name
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

__all__ = ["RabbitMQ", "RabbitMQConfig"]


class RabbitMQ:
    """The adapter; see `eventhub.brokers.contract.Adapter`."""

    kind: ClassVar[str] = "rabbitmq"
    title: ClassVar[str] = "RabbitMQ"
    config: ClassVar[type[BrokerConfig]] = RabbitMQConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(
            Mode(
                name="tap",
                safety=ReadSafety.ADDS_A_BOUNDED_QUEUE,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW,),
                effect="A queue of EventHub's own gets a copy of what the chosen exchanges route."
                " It drops its oldest messages when it is full, and expires without EventHub:"
                " publishers never wait for it, and no consumer loses a message to it. While it is"
                " bound, publishers do not get messages back as unroutable (mandatory) that only"
                " the tap takes.",
                blind_spot="Messages sent straight to a queue by the default exchange, and those"
                " that waited in queues before the tap was there.",
                settles=True,
            ),
            Mode(
                name="log",
                safety=ReadSafety.HARMLESS,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW, StartFrom.EARLIEST, StartFrom.TIME),
                effect="Reads stream queues by offset, as any number of readers may. Nothing is"
                " taken, and no offset is stored on the broker.",
                blind_spot="What a stream's limits removed before it was read; a gap says so."
                " Queues that are no streams.",
                settles=True,
            ),
            Mode(
                name="firehose",
                safety=ReadSafety.SLOWS_THE_BROKER,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW,),
                effect="SLOWS THE NODE: once an operator has switched RabbitMQ's tracer on, the"
                " broker makes and routes a second message for each one that is published in the"
                " virtual host, and one for each delivery, whether EventHub runs or not. EventHub"
                " never switches it on. The copies wait in a queue of its own, which drops its"
                " oldest when it is full, and expires. Whoever may read the tracer sees every"
                " message of the virtual host.",
                blind_spot="What was published while the tracer was off: a restart of a node"
                " switches it off. In a cluster, what comes in by nodes where it is off. What"
                " queues dead-letter.",
                settles=True,
            ),
            Mode(
                name="consume",
                safety=ReadSafety.TAKES_MESSAGES,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.EARLIEST,),
                effect="TAKES messages: it is one more consumer of the queues, and what it takes"
                " no other consumer gets. What it does not store goes back, and counts as a"
                " delivery.",
                blind_spot="What other consumers of the same queues take.",
                settles=True,
            ),
        ),
        publishes_to=PUBLISHES_TO,
        dead_letters=ACCESS,
    )

    def consumer(self, config: RabbitMQConfig, observation: Observation) -> Consumer | Reader:
        if config.taps():
            return Consumer(config, observation)
        return Reader(config, observation)

    def publisher(self, config: RabbitMQConfig) -> Publisher:
        return Publisher(config)

    def depth(self, config: RabbitMQConfig) -> DepthProbe:
        return DepthProbe(config)

    def dead_letters(self, config: RabbitMQConfig) -> DeadLetters:
        return DeadLetters(config)

    def discover(self, config: RabbitMQConfig) -> list[Destination]:
        return discover(config)

    def check_connection(self, config: RabbitMQConfig) -> Iterator[Step]:
        return check_connection(config)

    def remove_traces(self, config: RabbitMQConfig, observation: Observation) -> None:
        """Removes the tap, whoever consumes from it; the other modes leave nothing."""
        if not config.taps():
            return
        wire = connect(config, f"removing the tap of {observation.name}")
        try:
            Tap(wire, config, queue_name(observation)).delete()
        finally:
            wire.leave()
