"""At each kind of broker, sources that cannot work: each for a reason that a person must mend."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NamedTuple

from tests.brokers.activemq import server as activemq
from tests.brokers.azure_service_bus import server as azure
from tests.brokers.kafka import server as kafka
from tests.brokers.rabbitmq import server as rabbitmq
from tests.brokers.redis_pubsub import server as redis
from tests.brokers.sqs import server as sqs
from tests.servers.expired import ExpiredPort
from tests.servers.ours import not_ours

__all__ = ["CREDENTIAL", "DELETED", "EXPIRED", "KINDS", "SECRET", "UNKNOWN", "Kind", "Troubles"]

CREDENTIAL: Final = "wrong credential"
UNKNOWN: Final = "unknown destination"
DELETED: Final = "deleted while running"
EXPIRED: Final = "expired certificate"

SECRET: Final = "hunter2"
"""Nobody's, and never to be shown."""

_Config = dict[str, Any]


class Troubles(NamedTuple):
    configs: Mapping[str, _Config]
    """By trouble. That of DELETED works until `delete` is called."""
    delete: Callable[[], object] = lambda: None
    send: Callable[[], object] = lambda: None
    """To what was deleted."""


class Kind(NamedTuple):
    kind: str
    missing: Callable[[], str | None]
    troubles: Callable[[ExpiredPort], AbstractContextManager[Troubles]]


@contextmanager
def _rabbitmq(expired: ExpiredPort) -> Iterator[Troubles]:
    with rabbitmq.running() as server:
        server.api("PUT", "/queues/%2F/work", {})
        sound = {"host": "127.0.0.1", "port": server.port, "user": "guest", "password": "guest"}
        sound |= {"management_url": server.management_url, "exchanges": ["amq.topic"]}
        yield Troubles(
            {
                CREDENTIAL: sound | {"password": SECRET},
                UNKNOWN: sound | {"exchanges": ["nothing"]},
                DELETED: sound | {"mode": "consume", "exchanges": [], "queues": ["work"]},
                EXPIRED: sound | _tls(expired),
            },
            lambda: server.api("DELETE", "/queues/%2F/work"),
        )


@contextmanager
def _kafka(expired: ExpiredPort) -> Iterator[Troubles]:
    from confluent_kafka.cimpl import NewTopic

    with kafka.running() as server:
        assert isinstance(server, kafka.KafkaServer)
        server.admin.create_topics([NewTopic("orders", 1, 1)])["orders"].result(20)
        sound: _Config = {"bootstrap_servers": [server.address], "topics": ["orders"]}
        sign_in = {"authentication": "scram-sha-512", "user": kafka.USER, "password": SECRET}
        sasl = {"bootstrap_servers": [f"127.0.0.1:{server.sasl_port}"], **sign_in}
        tls = {"tls": True, "ca_file": str(expired.authority)}
        yield Troubles(
            {
                CREDENTIAL: sound | sasl,
                UNKNOWN: sound | {"topics": ["nothing"]},
                DELETED: sound,
                EXPIRED: sound | tls | {"bootstrap_servers": [f"127.0.0.1:{expired.port}"]},
            },
            lambda: server.admin.delete_topics(["orders"])["orders"].result(20),
        )


@contextmanager
def _sqs(expired: ExpiredPort) -> Iterator[Troubles]:
    # Its start and the making of a user, after which moto asks for that user's key.
    with sqs.running("moto", environment={"INITIAL_NO_AUTH_ACTION_COUNT": "4"}) as cloud:
        iam = cloud.client("iam")
        iam.create_user(UserName="eventhub")
        key = iam.create_access_key(UserName="eventhub")["AccessKey"]
        policy = '{"Version": "2012-10-17", "Statement": '
        policy += '[{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
        iam.put_user_policy(UserName="eventhub", PolicyName="all", PolicyDocument=policy)
        client = cloud.client(
            aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
        )
        url = client.create_queue(QueueName="orders-for-eventhub")["QueueUrl"]
        sound = {
            "endpoint_url": cloud.url,
            "region": "us-east-1",
            "authentication": "access key",
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
            "tap_queue": "orders-for-eventhub",
            "wait_seconds": 1,
        }
        secured = f"https://127.0.0.1:{expired.port}"
        yield Troubles(
            {
                CREDENTIAL: sound | {"secret_access_key": SECRET},
                UNKNOWN: sound | {"tap_queue": "nothing"},
                DELETED: sound,
                EXPIRED: sound | {"endpoint_url": secured, "ca_file": str(expired.authority)},
            },
            lambda: client.delete_queue(QueueUrl=url),
        )


@contextmanager
def _classic(expired: ExpiredPort) -> Iterator[Troubles]:
    from tests.brokers.activemq.others import flood, message
    from tests.brokers.activemq.rig import remove

    with activemq.running("classic") as server:
        sound = _activemq(server, "orders.a")
        yield Troubles(
            {
                CREDENTIAL: sound | {"password": SECRET},
                DELETED: sound,
                EXPIRED: sound | _tls(expired),
            },
            lambda: remove(server, "orders.a", topic=True),
            lambda: flood(server, "topic://orders.a", [message(b"made again")]),
        )


@contextmanager
def _artemis(expired: ExpiredPort) -> Iterator[Troubles]:
    """On addresses that it does not make by itself: `closed.#` in its configuration."""
    from tests.brokers.activemq.rig import create, remove

    with activemq.running("artemis") as server:
        create(server, "closed.orders", topic=True)
        sound = _activemq(server, "closed.orders")
        yield Troubles(
            {
                CREDENTIAL: sound | {"password": SECRET},
                UNKNOWN: sound | {"destinations": ["closed.nothing"]},
                DELETED: sound,
                EXPIRED: sound | _tls(expired),
            },
            lambda: remove(server, "closed.orders", topic=True),
        )


@contextmanager
def _redis(expired: ExpiredPort) -> Iterator[Troubles]:
    with redis.running(options=["--requirepass", "right"]) as server:
        sound = {"host": "127.0.0.1", "port": server.port}
        yield Troubles({CREDENTIAL: sound | {"password": SECRET}, EXPIRED: sound | _tls(expired)})


@contextmanager
def _azure(expired: ExpiredPort) -> Iterator[Troubles]:
    """The AMQP port under TLS is always 5671: what expires is the certificate of the
    administration API, which a tap is made by."""
    from tests.brokers.azure_service_bus.rig import Namespace

    with azure.running() as server:
        namespace = Namespace(server)
        namespace.create("topic:orders")
        sound = {
            "connection_string": server.connection_string(),
            "administration_url": server.administration_url,
            "topics": ["orders"],
        }
        secured = f"https://localhost:{expired.port}"
        yield Troubles(
            {
                CREDENTIAL: sound | {"connection_string": server.connection_string(secret=SECRET)},
                UNKNOWN: sound | {"topics": ["nothing"]},
                DELETED: sound,
                EXPIRED: sound | {"administration_url": secured, "ca_file": str(expired.authority)},
            },
            lambda: namespace.delete("orders"),
        )
        namespace.close()


def _tls(expired: ExpiredPort) -> _Config:
    return {"port": expired.port, "tls": True, "ca_file": str(expired.authority)}


def _activemq(server: activemq.ActiveMQServer, topic: str) -> _Config:
    return {
        "flavour": server.flavour,
        "host": "127.0.0.1",
        "port": server.ports["amqp"],
        "user": activemq.WATCHER,
        "password": activemq.WATCHER_PASSWORD,
        "jolokia_url": server.jolokia_url,
        "destinations": [topic],
    }


KINDS: Final = {
    "RabbitMQ": Kind("rabbitmq", lambda: not_ours("rabbitmq"), _rabbitmq),
    "Apache Kafka": Kind("kafka", lambda: not_ours("kafka"), _kafka),
    "Amazon SQS (moto)": Kind("sqs", lambda: sqs.missing("moto"), _sqs),
    "ActiveMQ Classic": Kind("activemq", lambda: not_ours("classic"), _classic),
    "ActiveMQ Artemis": Kind("activemq", lambda: not_ours("artemis"), _artemis),
    "Redis Pub/Sub": Kind("redis_pubsub", lambda: not_ours("redis_pubsub"), _redis),
    "Azure Service Bus (stand-in)": Kind(
        "azure_service_bus", lambda: not_ours("azure_service_bus"), _azure
    ),
}
