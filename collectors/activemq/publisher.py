"""The publisher of a source: in the source's own protocol."""

from collections.abc import Callable, Mapping
from typing import Final

from collectors.activemq.amqp_publisher import AmqpPublisher
from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.mqtt_publisher import MqttPublisher
from collectors.activemq.stomp_publisher import StompPublisher
from eventhub.brokers.contract import Publisher

__all__ = ["publisher"]

_PUBLISHERS: Final[Mapping[str, Callable[[ActiveMQConfig], Publisher]]] = {
    "amqp": AmqpPublisher,
    "stomp": StompPublisher,
    "mqtt": MqttPublisher,
}


def publisher(config: ActiveMQConfig) -> Publisher:
    return _PUBLISHERS[config.protocol](config)
