"""ActiveMQ, Classic and Artemis, over AMQP 1.0, STOMP or MQTT."""

from collections.abc import Iterator
from typing import ClassVar

from collectors.activemq import discovery
from collectors.activemq.browse import Browser
from collectors.activemq.check import check_connection
from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.consumer import Consumer
from collectors.activemq.dead_letters import ACCESS, DeadLetters
from collectors.activemq.depth import DepthProbe
from collectors.activemq.modes import MODES
from collectors.activemq.names import PUBLISHES_TO
from collectors.activemq.publisher import publisher
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Capabilities,
    Destination,
    Observation,
    Publisher,
    Step,
)

__all__ = ["ActiveMQ", "ActiveMQConfig"]


class ActiveMQ:
    """The adapter; see `eventhub.brokers.contract.Adapter`."""

    kind: ClassVar[str] = "activemq"
    title: ClassVar[str] = "ActiveMQ"
    config: ClassVar[type[BrokerConfig]] = ActiveMQConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=MODES,
        publishes_to=PUBLISHES_TO,
        dead_letters=ACCESS,
    )

    def consumer(self, config: ActiveMQConfig, observation: Observation) -> Consumer | Browser:
        return (Browser if config.mode == "browse" else Consumer)(config, observation)

    def publisher(self, config: ActiveMQConfig) -> Publisher:
        return publisher(config)

    def depth(self, config: ActiveMQConfig) -> DepthProbe:
        return DepthProbe(config)

    def dead_letters(self, config: ActiveMQConfig) -> DeadLetters:
        return DeadLetters(config)

    def discover(self, config: ActiveMQConfig) -> list[Destination]:
        return discovery.discover(config)

    def check_connection(self, config: ActiveMQConfig) -> Iterator[Step]:
        return check_connection(config)

    def remove_traces(self, config: ActiveMQConfig, observation: Observation) -> None:
        """There are none: the broker forgets a subscription that is not durable with its
        connection."""
