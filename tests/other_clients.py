"""The clients that others publish with, each set to send to a broker that EventHub observes."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from tests.brokers.activemq import server as activemq
from tests.brokers.azure_service_bus import server as azure
from tests.brokers.sqs import server as sqs
from tests.servers.installed import installed
from tests.servers.ours import not_ours
from tests.servers.process import free_port, port_answers, wait_until

__all__ = ["CLIENTS", "Client", "Other"]

_AWS: Final = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_PAGER": "", "LC_ALL": "C.UTF-8",
}  # fmt: skip
_TOOL_SECONDS: Final = 60


class Client(NamedTuple):
    """Somebody else's client, ready to send one message."""

    config: dict[str, Any]
    """Of the source that observes what it sends to."""
    send: Callable[[bytes], object]
    destination: str
    headers: Set[tuple[str, str, str]] = frozenset()
    """Name, type and text, as an event's page shows what it sends besides."""
    facts: Mapping[str, str] = MappingProxyType({})
    """By title, what the page shows of the event itself."""


class Other(NamedTuple):
    kind: str
    missing: Callable[[], str | None]
    ready: Callable[[], AbstractContextManager[Client]]


@contextmanager
def _aws_sns() -> Iterator[Client]:
    """`aws sns publish` to a topic, to which EventHub's tap is subscribed."""
    with sqs.running("moto") as cloud:
        topic = cloud.client("sns").create_topic(Name="orders")["TopicArn"]
        yield Client(
            _aws_config(cloud) | {"topics": [topic], "wait_seconds": 0},
            lambda payload: _aws(
                cloud, "sns", "publish", "--topic-arn", topic, "--message", payload.decode(),
                "--message-attributes", json.dumps(_ATTRIBUTES),
            ),
            topic,
            _ATTRIBUTES_SHOWN,
        )  # fmt: skip


@contextmanager
def _aws_sqs() -> Iterator[Client]:
    """`aws sqs send-message` to a queue that EventHub consumes."""
    with sqs.running("elasticmq") as cloud:
        url = cloud.client().create_queue(QueueName="orders")["QueueUrl"]
        yield Client(
            _aws_config(cloud) | {"mode": "consume", "queues": ["orders"], "wait_seconds": 1},
            lambda payload: _aws(
                cloud, "sqs", "send-message", "--queue-url", url,
                "--message-body", payload.decode(),
                "--message-attributes", json.dumps(_ATTRIBUTES),
            ),
            "orders",
            _ATTRIBUTES_SHOWN,
        )  # fmt: skip


_ATTRIBUTES: Final = {
    "tenant": {"DataType": "String", "StringValue": "acme ☃"},
    "amount": {"DataType": "Number", "StringValue": "4711.50"},
}
_ATTRIBUTES_SHOWN: Final = {("tenant", "text", "acme ☃"), ("amount", "Decimal", "4711.50")}


def _aws_config(cloud: sqs.Cloud) -> dict[str, Any]:
    return {
        "endpoint_url": cloud.url,
        "region": "us-east-1",
        "authentication": "access key",
        "access_key_id": "test",
        "secret_access_key": "test",
    }


def _aws(cloud: sqs.Cloud, *words: str) -> None:
    _run(["aws", *words, "--endpoint-url", str(cloud.url)], _AWS)


@contextmanager
def _classic() -> Iterator[Client]:
    """`activemq producer`, which speaks OpenWire, to a topic that is tapped over AMQP."""
    from tests.brokers.activemq.rig import call

    tool = str(installed("apache-activemq-5.18.3") / "bin/activemq")
    with TemporaryDirectory() as folder, activemq.running("classic") as server:
        port = free_port()
        call(server, "addConnector(java.lang.String)", f"tcp://127.0.0.1:{port}")
        wait_until(lambda: port_answers(port), seconds=20, what="OpenWire is spoken")
        yield Client(
            _activemq_config(server, "orders.tool"),
            lambda payload: _run(
                [
                    tool, "producer", "--brokerUrl", f"tcp://127.0.0.1:{port}",
                    "--user", activemq.ADMIN, "--password", activemq.ADMIN,
                    "--destination", "topic://orders.tool", "--messageCount", "1",
                    "--payloadUrl", _document(folder, payload), "--msgGroupID", "order-1",
                ],
                {"ACTIVEMQ_OPTS_MEMORY": "-Xmx128m", "LC_ALL": "C.UTF-8"},
            ),
            "topic://orders.tool",
            facts={"Key": "order-1"},
        )  # fmt: skip


@contextmanager
def _artemis() -> Iterator[Client]:
    """`artemis producer`, by its AMQP client, with properties of each type that it offers."""
    tool = str(installed("apache-artemis-2.40.0") / "bin/artemis")
    with activemq.running("artemis") as server:
        properties = [
            {"type": kind, "key": f"a_{kind}", "value": value}
            for kind, value in (
                ("string", "acme ☃"), ("long", "4711"), ("double", "0.5"), ("boolean", "true"),
            )
        ]  # fmt: skip
        yield Client(
            _activemq_config(server, "orders.tool"),
            lambda payload: _run(
                [
                    tool, "producer", "--protocol", "AMQP",
                    "--url", f"amqp://127.0.0.1:{server.ports['amqp']}",
                    "--user", activemq.ADMIN, "--password", activemq.ADMIN,
                    "--destination", "topic://orders.tool", "--message-count", "1",
                    "--message", payload.decode(), "--properties", json.dumps(properties),
                ],
                {"JAVA_ARGS": "-Xmx128m", "LC_ALL": "C.UTF-8"},
            ),
            "topic://orders.tool",
            {
                ("a_string", "text", "acme ☃"), ("a_long", "integer", "4711"),
                ("a_double", "float", "0.5"), ("a_boolean", "yes/no", "true"),
            },
        )  # fmt: skip


def _document(folder: str, payload: bytes) -> str:
    """Its address. The tool's shell script breaks a text with blanks or quotes into pieces."""
    document = Path(folder) / "payload"
    document.write_bytes(payload)
    return document.as_uri()


def _activemq_config(server: activemq.ActiveMQServer, topic: str) -> dict[str, Any]:
    return {
        "flavour": server.flavour,
        "host": server.host,
        "port": server.ports["amqp"],
        "user": activemq.ADMIN,
        "password": activemq.ADMIN,
        "jolokia_url": server.jolokia_url,
        "destinations": [topic],
    }


@contextmanager
def _azure() -> Iterator[Client]:
    """Microsoft's own client library; against our stand-in of the service."""
    from azure.servicebus import ServiceBusClient, ServiceBusMessage

    from tests.brokers.azure_service_bus.rig import Namespace

    with azure.running() as server:
        namespace = Namespace(server)
        namespace.create("topic:orders")

        def send(payload: bytes) -> None:
            message = ServiceBusMessage(
                payload,
                subject="OrderPlaced",
                correlation_id="order-1",
                message_id="order-1/placed",
                application_properties={
                    "text": "acme ☃",
                    "whole": 4711,
                    "real": 0.5,
                    "yes": True,
                    "id": UUID("2f1d3c9a-54aa-4c0e-9b0e-0a9c2c9f5a11"),
                },
            )
            with (
                ServiceBusClient.from_connection_string(server.connection_string()) as client,
                client.get_topic_sender("orders") as sender,
            ):
                sender.send_messages(message)

        yield Client(
            {
                "connection_string": server.connection_string(),
                "administration_url": server.administration_url,
                "topics": ["orders"],
            },
            send,
            "orders",
            {
                ("text", "text", "acme ☃"),
                ("whole", "integer", "4711"),
                ("real", "float", "0.5"),
                ("yes", "yes/no", "true"),
                ("id", "text", "2f1d3c9a-54aa-4c0e-9b0e-0a9c2c9f5a11"),
            },
            {"Correlation": "order-1", "Message id": "order-1/placed"},
        )
        namespace.close()


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_TOOL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def _aws_missing(server: str) -> str | None:
    if shutil.which("aws") is None:
        return "aws was not found (bin/install-brokers sqs installs it)"
    return sqs.missing("moto") if server == "moto" else not_ours(server)


CLIENTS: Final = {
    "aws sns publish": Other("sqs", lambda: _aws_missing("moto"), _aws_sns),
    "aws sqs send-message": Other("sqs", lambda: _aws_missing("elasticmq"), _aws_sqs),
    "activemq producer": Other("activemq", lambda: not_ours("classic"), _classic),
    "artemis producer": Other("activemq", lambda: not_ours("artemis"), _artemis),
    "azure-servicebus (stand-in)": Other(
        "azure_service_bus", lambda: not_ours("azure_service_bus"), _azure
    ),
}
