"""The city on RabbitMQ: a topic exchange a scenario, a queue a service, and their dead letters.

The exchange is `demo.shop`, the routing key the channel's name, a service's queue
`demo.shop.billing`. What a service rejects goes through the fanout exchange
`demo.shop.dead-letters` into the queue of the same name.
"""

import time
from typing import Any, Final

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from collectors.demo.bus import BusAway, Letter
from collectors.demo.messages import Message
from collectors.demo.scenario import Scenario, Service

__all__ = ["RabbitMQBus", "exchanges"]

PREFETCH: Final = 200
KEPT: Final = 1_000
"""Messages that a queue keeps at most, should its service be away."""


def exchanges(scenario: Scenario) -> list[str]:
    """Where its messages and its dead letters can be observed."""
    return [f"demo.{scenario.name}", f"demo.{scenario.name}.dead-letters"]


class RabbitMQBus:
    def __init__(self, url: str, scenario: Scenario, service: Service | None) -> None:
        self._exchange, self._dead_letters = exchanges(scenario)
        parameters = pika.URLParameters(url)
        parameters.socket_timeout = parameters.blocked_connection_timeout = 5
        # Nobody serves heartbeats while a producer waits for its time.
        parameters.heartbeat = 0
        self._arrived: list[Letter] = []
        try:
            self._connection = pika.BlockingConnection(parameters)
            self._channel: BlockingChannel = self._connection.channel()
            self._declare()
            if service is not None:
                self._listen(f"{self._exchange}.{service.name}", service)
        except (AMQPError, OSError) as error:
            raise BusAway(_words(error)) from error

    def publish(self, message: Message) -> None:
        properties = pika.BasicProperties(
            type=message.type,
            message_id=message.id,
            correlation_id=message.correlation_id,
            content_type=message.content_type,
            timestamp=int(time.time()),
            app_id="demo",
            delivery_mode=2,
        )
        try:
            self._channel.basic_publish(
                self._exchange, message.channel, message.payload, properties
            )
        except (AMQPError, OSError) as error:
            raise BusAway(_words(error)) from error

    def receive(self, seconds: float) -> list[Letter]:
        try:
            self._connection.process_data_events(time_limit=seconds)
        except (AMQPError, OSError) as error:
            raise BusAway(_words(error)) from error
        letters, self._arrived = self._arrived, []
        return letters

    def done(self, letter: Letter) -> None:
        try:
            self._channel.basic_ack(letter.handle)
        except (AMQPError, OSError) as error:
            raise BusAway(_words(error)) from error

    def bury(self, letter: Letter, reason: str, attempts: int) -> None:
        """RabbitMQ's own way; it writes down that it was rejected, not why."""
        try:
            self._channel.basic_reject(letter.handle, requeue=False)
        except (AMQPError, OSError) as error:
            raise BusAway(_words(error)) from error

    def close(self) -> None:
        try:
            self._connection.close()
        except (AMQPError, OSError):
            return  # it is gone already

    def _declare(self) -> None:
        declare, limits = self._channel.queue_declare, {"x-max-length": KEPT}
        self._channel.exchange_declare(self._exchange, "topic", durable=True)
        self._channel.exchange_declare(self._dead_letters, "fanout", durable=True)
        declare(self._dead_letters, durable=True, arguments=limits)
        self._channel.queue_bind(self._dead_letters, self._dead_letters)

    def _listen(self, queue: str, service: Service) -> None:
        arguments = {"x-dead-letter-exchange": self._dead_letters, "x-max-length": KEPT}
        self._channel.queue_declare(queue, durable=True, arguments=arguments)
        for channel in service.listens_to:
            self._channel.queue_bind(queue, self._exchange, channel)
        self._channel.basic_qos(prefetch_count=PREFETCH)
        self._channel.basic_consume(queue, self._arrive)

    def _arrive(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        message = Message(
            method.routing_key,
            body,
            properties.type,
            properties.message_id,
            properties.correlation_id,
            properties.content_type or "",
        )
        self._arrived.append(Letter(message, method.delivery_tag))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
