"""Azure Service Bus: a full queue, and what Microsoft's client does with nothing around it.

Both run against the tests' stand-in, whose rates are not Azure's; their ratio is to the point.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from benchmarks.case import Broker, Case, Place
from tests.brokers.azure_service_bus.rig import Namespace
from tests.brokers.azure_service_bus.server import ServiceBus, running

__all__ = ["BROKER"]

_TOGETHER: Final = 200
_BATCH: Final = 500
_PREFETCH: Final = 1_000


def fill(
    connection_string: str, administration_url: str, queue: str, payload: bytes, count: int
) -> None:
    """Make a queue, and put so many messages with five properties into it.

    The same batch is sent again and again: encoding a message takes longer than sending it.
    """
    server = ServiceBus(Path(), connection_string)
    server.administration_url = administration_url
    namespace = Namespace(server)
    namespace.create(queue)
    messages = [_message(payload, number) for number in range(min(_TOGETHER, count))]
    with namespace.client() as client, client.get_queue_sender(queue, keep_alive=0) as sender:
        batch = sender.create_message_batch()
        for message in messages:
            batch.add_message(message)
        for _ in range(count // len(messages)):
            sender.send_messages(batch)
        rest = messages[: count % len(messages)]
        if rest:
            sender.send_messages(rest)
    namespace.close()


def _message(payload: bytes, number: int) -> ServiceBusMessage:
    return ServiceBusMessage(
        payload,
        subject="OrderPlaced",
        message_id=f"{number:036}",
        correlation_id="c" * 32,
        content_type="application/json",
        application_properties={
            "tenant": "acme", "region": "eu", "attempt": 1, "amount": 318.4,
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        },
    )  # fmt: skip


def receive_raw(connection_string: str, queue: str, count: int) -> float:
    """Messages a second that azure-servicebus hands over from a full queue, completing each."""
    received = 0
    with (
        ServiceBusClient.from_connection_string(connection_string) as client,
        client.get_queue_receiver(queue, prefetch_count=_PREFETCH, keep_alive=0) as receiver,
    ):
        began = time.perf_counter()
        while received < count:
            for message in receiver.receive_messages(_BATCH, max_wait_time=5):
                receiver.complete_message(message)
                received += 1
        took = time.perf_counter() - began
    return count / took


def _case(place: Place, name: str) -> Case:
    text, administration = place["connection_string"], place["administration"]

    def fill_both(payload: bytes, count: int, _: Callable[[], None]) -> None:
        for queue in (name, f"{name}-plain"):
            fill(text, administration, queue, payload, count)

    config = {
        "connection_string": text, "administration_url": administration,
        "mode": "consume", "entities": [name],
    }  # fmt: skip
    return Case(
        config,
        "earliest",
        fill_both,
        lambda count: receive_raw(text, f"{name}-plain", count),
    )


BROKER: Final = Broker(
    running,
    lambda server: {
        "connection_string": server.connection_string(),
        "administration": server.administration_url,
    },
    _case,
    0.05,
)
