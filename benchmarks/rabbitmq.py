"""RabbitMQ: a full queue, and what pika does with nothing around it."""

import time
from collections.abc import Callable
from typing import Any, Final

import pika

from benchmarks.case import Broker, Case, Place
from tests.brokers.rabbitmq.server import running

__all__ = ["BROKER"]

_BATCH: Final = 1_000


def fill(url: str, name: str, payload: bytes, count: int, observe: Callable[[], None]) -> None:
    """Publish so many messages to a new exchange, bound to a queue of the same name.

    `observe` is called before: what a tap is to get, it must be there for.
    """
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.exchange_declare(name, "fanout")
    channel.queue_declare(name, durable=True)
    channel.queue_bind(name, name)
    observe()
    properties = pika.BasicProperties(
        content_type="application/json", type="OrderPlaced", correlation_id="c" * 32,
        message_id="m" * 36, delivery_mode=2, headers={"tenant": "acme"},
    )  # fmt: skip
    for _ in range(count):
        channel.basic_publish(name, "orders.placed", payload, properties)
    while channel.queue_declare(name, passive=True).method.message_count < count:
        connection.sleep(0.05)
    connection.close()


def receive_raw(url: str, queue: str, count: int) -> float:
    """Messages a second that pika hands over, acknowledging a thousand at a time."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=2 * _BATCH)
    received = 0

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal received
        received += 1
        if received % _BATCH == 0 or received == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if received == count:
            channel.stop_consuming()

    began = time.perf_counter()
    channel.basic_consume(queue, on_message)
    channel.start_consuming()
    took = time.perf_counter() - began
    connection.close()
    return count / took


def _case(place: Place, name: str) -> Case:
    config = {
        "host": "127.0.0.1", "port": place["port"], "user": "guest", "password": "guest",
        "exchanges": [name], "management_url": place["management"],
    }  # fmt: skip
    return Case(
        config,
        "now",
        lambda payload, count, observe: fill(place["url"], name, payload, count, observe),
        lambda count: receive_raw(place["url"], name, count),
    )


BROKER: Final = Broker(
    running,
    lambda server: {
        "port": server.port,
        "url": server.url,
        "management": server.management_url,
    },
    _case,
    1.0,
)
