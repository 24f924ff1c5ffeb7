"""Every broker that keeps messages: where it runs, how it is filled, and how it is read."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from benchmarks import activemq, azure_service_bus, kafka, rabbitmq, sqs
from tests.brokers.activemq import server as activemq_server
from tests.brokers.azure_service_bus import server as azure_service_bus_server
from tests.brokers.kafka import server as kafka_server
from tests.brokers.rabbitmq import server as rabbitmq_server
from tests.brokers.sqs import server as sqs_server

__all__ = ["BROKERS", "Broker", "Case", "Place"]

Place = dict[str, Any]
"""The facts of a running server that its case needs; they travel to another process as JSON."""


class Case(NamedTuple):
    config: dict[str, Any]
    """Of an EventHub source that reads what `fill` leaves."""
    start: str
    fill: Callable[[bytes, int, Callable[[], None]], None]
    """(payload, count, observe): leave so many messages both for the source and for the plain
    client. `observe` opens and closes the source: what a tap is to get, it must be there for."""
    receive_raw: Callable[[int], float]
    """Messages a second that the plain client receives of so many."""


class Broker(NamedTuple):
    running: Callable[[], AbstractContextManager[Any]]
    place: Callable[[Any], Place]
    case: Callable[[Place, str], Case]
    """(place, a name that nothing has yet)"""
    share: float
    """Events of a run relative to RabbitMQ's: fast brokers would be over before they are
    measured, and slow ones would take minutes."""


def _rabbitmq(place: Place, name: str) -> Case:
    config = {
        "host": "127.0.0.1", "port": place["port"], "user": "guest", "password": "guest",
        "exchanges": [name], "management_url": place["management"],
    }  # fmt: skip
    return Case(
        config,
        "now",
        lambda payload, count, observe: rabbitmq.fill(place["url"], name, payload, count, observe),
        lambda count: rabbitmq.receive_raw(place["url"], name, count),
    )


def _kafka(place: Place, name: str) -> Case:
    return Case(
        {"bootstrap_servers": [place["address"]], "topics": [name]},
        "earliest",
        lambda payload, count, _: kafka.fill(place["address"], name, payload, count),
        lambda count: kafka.receive_raw(place["address"], name, count),
    )


def _sqs(place: Place, name: str) -> Case:
    endpoint = place["endpoint"]

    def fill(payload: bytes, count: int, _: Callable[[], None]) -> None:
        for queue in (name, f"{name}-plain"):
            sqs.fill(endpoint, queue, payload, count)

    config = {
        "endpoint_url": endpoint, "region": "eu-west-1", "authentication": "access key",
        "access_key_id": "x", "secret_access_key": "x", "mode": "consume", "queues": [name],
    }  # fmt: skip
    return Case(
        config, "earliest", fill, lambda count: sqs.receive_raw(endpoint, f"{name}-plain", count)
    )


def _activemq(place: Place, name: str) -> Case:
    def fill(payload: bytes, count: int, _: Callable[[], None]) -> None:
        for queue in (name, f"{name}-plain"):
            activemq.fill(place["url"], queue, payload, count)

    config = {
        "host": "127.0.0.1", "port": place["port"], "user": "admin", "password": "admin",
        "jolokia_url": place["jolokia"], "mode": "consume", "destinations": [name],
    }  # fmt: skip
    return Case(
        config,
        "earliest",
        fill,
        lambda count: activemq.receive_raw(place["url"], f"{name}-plain", count),
    )


def _azure_service_bus(place: Place, name: str) -> Case:
    text, administration = place["connection_string"], place["administration"]

    def fill(payload: bytes, count: int, _: Callable[[], None]) -> None:
        for queue in (name, f"{name}-plain"):
            azure_service_bus.fill(text, administration, queue, payload, count)

    config = {
        "connection_string": text, "administration_url": administration,
        "mode": "consume", "entities": [name],
    }  # fmt: skip
    return Case(
        config,
        "earliest",
        fill,
        lambda count: azure_service_bus.receive_raw(text, f"{name}-plain", count),
    )


BROKERS: Final = {
    "rabbitmq": Broker(
        rabbitmq_server.running,
        lambda server: {
            "port": server.port, "url": server.url, "management": server.management_url,
        },
        _rabbitmq,
        1.0,
    ),
    "kafka": Broker(
        kafka_server.running,
        lambda server: {"address": f"127.0.0.1:{server.port}"},
        _kafka,
        4.0,
    ),
    "sqs": Broker(sqs_server.running, lambda server: {"endpoint": server.url}, _sqs, 0.1),
    "activemq": Broker(
        activemq_server.running,
        lambda server: {
            "port": server.ports["amqp"], "jolokia": server.jolokia_url,
            "url": f"amqp://admin:admin@127.0.0.1:{server.ports['amqp']}",
        },
        _activemq,
        0.5,
    ),
    "azure_service_bus": Broker(
        azure_service_bus_server.running,
        lambda server: {
            "connection_string": server.connection_string(),
            "administration": server.administration_url,
        },
        _azure_service_bus,
        0.1,
    ),
}  # fmt: skip
