"""Topics, producers and consumer groups of a test's own, and the rig of the conformance suite."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.cimpl import NewTopic
from pydantic import SecretStr

from collectors.kafka import Kafka
from collectors.kafka.config import KafkaConfig
from eventhub.brokers import contract
from tests.brokers.kafka.relay import Relay
from tests.brokers.kafka.server import PASSWORD, USER, Broker, KafkaServer
from tests.contracts.broker import BadSetting, Grave, Rig, until
from tests.servers.process import free_port

_LARGEST: Final = 8 * 1024**2
"""Bytes of a message that a topic of the rig takes; 1 MB unless a topic says otherwise."""

__all__ = ["GroupMember", "KafkaRig", "spring_headers"]


class GroupMember:
    """Somebody else's consumer, in a group of its own; commits each record it got."""

    def __init__(self, rig: "KafkaRig", topic: str) -> None:
        self._rig = rig
        self.group = f"workers-{uuid4().hex}"
        self._topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": rig.server.address,
                "group.id": self.group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        self._consumer.subscribe([topic])
        self._got: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def received(self) -> list[bytes]:
        return list(self._got)

    def facts(self) -> Mapping[str, object]:
        admin = self._rig.server.admin
        told = admin.describe_consumer_groups([self.group])[self.group].result(10)
        ends = self._rig.ends(self._topic)
        committed = self._rig.committed(self.group)
        return {
            "members": [member.member_id for member in told.members],
            "state": told.state,
            "lag": {each: ends[each] - offset for each, offset in committed.items()},
            "groups": self._rig.groups(),
            "topics": self._rig.topics(),
        }

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            record = self._consumer.poll(0.05)
            if record is not None and record.error() is None:
                self._consumer.commit(message=record, asynchronous=False)
                self._got.append(record.value() or b"")


class KafkaRig(Rig):
    adapter = Kafka()
    carries = frozenset({"key", "headers"})
    header_values: Mapping[str, Any] = {
        "text": "Grüße", "empty": "", "bytes": b"\xff\0", "none": None,
    }  # fmt: skip
    keeps_while_away = True
    too_large = _LARGEST + 1024**2
    config: KafkaConfig

    def __init__(self, server: Broker) -> None:
        self.server = server
        self.broker_name = server.title
        if isinstance(server, KafkaServer):
            self.proxied_port = server.proxied_port
        self._relay: Relay | None = None
        self.destination = self.target = f"orders.{uuid4().hex}"
        self.missing_target = f"missing.{uuid4().hex}"
        self.create(self.destination, max_message_bytes=str(_LARGEST))
        self.config = KafkaConfig(bootstrap_servers=[server.address], topics=[self.destination])
        self.producer = Producer(
            {"bootstrap.servers": server.address, "message.max.bytes": 10**8, "log_level": 0}
        )
        self._before = self.topics() | self.groups()

    @property
    def bad_settings(self) -> Mapping[str, BadSetting]:  # type: ignore[override]
        """Made when asked for: one of them needs an ACL."""
        at = self.at
        settings = {
            "host": BadSetting(
                self.with_(bootstrap_servers=["no-such.invalid:9092"]), "resolve", "resolve"
            ),
            "port": BadSetting(at(free_port()), "connect", "Nothing listens"),
            "topic": BadSetting(self.with_(topics=["orders.none"]), "permissions", "no topic"),
        }
        if isinstance(self.server, KafkaServer):
            settings |= self._bad_sign_ins(self.server)
        return settings

    def _bad_sign_ins(self, server: KafkaServer) -> dict[str, BadSetting]:
        at, files = self.at, server.certificates
        sasl = {"authentication": "plain", "user": USER, "password": SecretStr(PASSWORD)}
        tls = {"tls": True, "ca_file": str(files.authority)}
        certificate = {
            **tls,
            "authentication": "client certificate",
            "client_certificate_file": str(files.expired),
            "client_key_file": str(files.client_key),
            "client_key_password": SecretStr("key's secret"),
        }
        wrong = {**sasl, "password": SecretStr("hunter2-wrong")}
        scram = {**wrong, "authentication": "scram-sha-512"}
        self.forbid(self.destination, "stranger")
        stranger = {**sasl, "user": "stranger"}
        return {
            "password": BadSetting(at(server.sasl_port, **wrong), "authenticate", "refused the"),
            "SCRAM": BadSetting(at(server.sasl_port, **scram), "authenticate", "SCRAM-SHA-512"),
            "a sign-in where none is asked for": BadSetting(
                at(server.port, **sasl), "authenticate", "asks for no sign-in"
            ),
            "no sign-in where one is asked for": BadSetting(
                at(server.sasl_port), "authenticate", "asks for TLS or a sign-in"
            ),
            "TLS on a plain port": BadSetting(at(server.port, **tls), "tls", "without TLS"),
            "no TLS on a TLS port": BadSetting(at(server.tls_port), "authenticate", "speaks TLS"),
            "a certificate that nobody signed": BadSetting(
                at(server.tls_port, tls=True), "tls", "not trusted"
            ),
            "no client certificate": BadSetting(
                at(server.tls_port, **tls), "authenticate", "wants a client certificate"
            ),
            "an expired client certificate": BadSetting(
                at(server.tls_port, **certificate), "authenticate", "expired"
            ),
            "a wrong key password": BadSetting(
                at(server.tls_port, **{**certificate, "client_key_password": SecretStr("wrong")}),
                "authenticate",
                "client key file",
            ),
            "advertised where nobody is": BadSetting(
                at(server.proxied_port), "brokers", "advertised.listeners"
            ),
            "a topic that is forbidden": BadSetting(
                at(server.sasl_port, **stranger), "permissions", "may not read"
            ),
        }

    def with_(self, **changes: Any) -> KafkaConfig:
        plain, secrets = self.config.split()
        return KafkaConfig.model_validate({**plain, **secrets, **changes})

    def at(self, port: int, **changes: Any) -> KafkaConfig:
        return self.with_(bootstrap_servers=[f"127.0.0.1:{port}"], **changes)

    def close(self) -> None:
        if self._relay is not None:
            self._relay.close()

    # What the suite asks for

    def fill(self, count: int) -> str:
        """A topic whose group has yet to read `count` of its records."""
        name, group = f"jobs.{uuid4().hex}", f"workers-{uuid4().hex}"
        self.create(name)
        self.send(name, [b"read"] * 3 + [b"%d" % n for n in range(count)])
        self.commit(group, name, 0, 3)
        return name

    def bury(self, payloads: list[bytes]) -> Grave:
        """As Spring's DeadLetterPublishingRecoverer does after three attempts."""
        name = f"{self.destination}.DLT"
        self.create(name)
        self.send(name, payloads, headers=spring_headers(self.destination, attempt=3))
        return Grave(name, self.destination, None, 3)

    def through(self, port: int) -> KafkaConfig | None:
        if not isinstance(self.server, KafkaServer):
            return None
        if self._relay is None:
            self._relay = Relay(self.server.advertised_port)
        self._relay.target = port
        return self.at(self.server.advertised_port)

    def flood(self, payloads: list[bytes]) -> None:
        self.send(self.target, payloads)

    def abandon(self, consumer: contract.Consumer) -> None:
        consumer.close()  # the broker holds nothing for a reader: there is no other way to leave

    def restart(self) -> None:
        if not isinstance(self.server, KafkaServer):
            pytest.skip("the broker that EVENTHUB_TEST_KAFKA names is not ours to restart")
        self.server.kill()
        self.server.start()

    @contextmanager
    def bystander(self) -> Iterator[GroupMember]:
        member = GroupMember(self, self.destination)
        try:
            yield member
        finally:
            member.close()

    def traces(self) -> set[str]:
        return (self.topics() | self.groups()) - self._before

    # What tests do to the broker

    def create(self, topic: str, partitions: int = 1, **settings: str) -> None:
        made = NewTopic(
            topic, partitions, 1, config={k.replace("_", "."): v for k, v in settings.items()}
        )
        self.server.admin.create_topics([made])[topic].result(20)

    def delete(self, topic: str) -> None:
        self.server.admin.delete_topics([topic])[topic].result(20)

    def remake(self, topic: str, partitions: int = 1) -> None:
        """Another topic of the same name."""
        self.delete(topic)
        until(lambda: topic not in self.topics(), "the topic is gone")
        self.create(topic, partitions)

    def send(self, topic: str, payloads: list[bytes], **more: Any) -> None:
        for payload in payloads:
            self.producer.produce(topic, payload, **more)
        assert self.producer.flush(20) == 0

    def truncate(self, topic: str, before: int, partition: int = 0) -> None:
        """Forget the records before this offset."""
        asked = TopicPartition(topic, partition, before)
        [future] = self.server.admin.delete_records([asked]).values()
        future.result(20)

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])
        self.server.admin.alter_consumer_group_offsets([asked])[group].result(20)

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        asked = self.server.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        told = asked[group].result(20)
        return {(each.topic, each.partition): each.offset for each in told.topic_partitions}

    def ends(self, topic: str) -> dict[tuple[str, int], int]:
        """Asked by a plain consumer of the client library, not by the adapter's code."""
        probe = Consumer({"bootstrap.servers": self.server.address, "group.id": "ends"})
        try:
            numbers = probe.list_topics(topic, timeout=10).topics[topic].partitions
            return {
                (topic, number): probe.get_watermark_offsets(TopicPartition(topic, number), 10)[1]
                for number in numbers
            }
        finally:
            probe.close()

    def topics(self) -> set[str]:
        return set(self.server.admin.list_topics(timeout=10).topics)

    def groups(self) -> set[str]:
        told = self.server.admin.list_consumer_groups(request_timeout=10).result(20)
        return {group.group_id for group in told.valid}

    def forbid(self, topic: str, user: str) -> None:
        """Whoever signs in as this user may see the topic and not read it."""
        for operation, permission in (
            (AclOperation.READ, AclPermissionType.DENY),
            (AclOperation.WRITE, AclPermissionType.DENY),
            (AclOperation.DESCRIBE, AclPermissionType.ALLOW),
        ):
            self._acl(ResourceType.TOPIC, topic, user, operation, permission)

    def hide(self, topic: str, user: str) -> None:
        """… and not even see it."""
        self._acl(ResourceType.TOPIC, topic, user, AclOperation.ALL, AclPermissionType.DENY)

    def hide_groups(self, user: str) -> None:
        """Whoever signs in as this user may see no group."""
        self._acl(ResourceType.GROUP, "*", user, AclOperation.ALL, AclPermissionType.DENY)

    def show_groups(self, user: str) -> None:
        """The opposite of `hide_groups`."""
        every = AclBindingFilter(
            ResourceType.GROUP, "*", ResourcePatternType.LITERAL, f"User:{user}", "*",
            AclOperation.ANY, AclPermissionType.ANY,
        )  # fmt: skip
        for future in self.server.admin.delete_acls([every]).values():
            future.result(20)

    def _acl(self, kind: Any, name: str, user: str, operation: Any, permission: Any) -> None:
        binding = AclBinding(
            kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, permission
        )
        for future in self.server.admin.create_acls([binding]).values():
            try:
                future.result(20)
            except KafkaException as error:
                raise AssertionError(str(error)) from error


def spring_headers(topic: str, attempt: int) -> list[tuple[str, bytes]]:
    """As spring-kafka 3 writes them; its numbers are big-endian bytes."""
    return [
        ("kafka_dlt-original-topic", topic.encode()),
        ("kafka_dlt-original-partition", (0).to_bytes(4, "big")),
        ("kafka_dlt-original-offset", (4711).to_bytes(8, "big")),
        ("kafka_dlt-exception-fqcn", b"com.acme.CardDeclined"),
        ("kafka_dlt-exception-message", b"card declined"),
        ("kafka_dlt-exception-stacktrace", b"com.acme.CardDeclined: card declined\n\tat Pay.java"),
        ("kafka_deliveryAttempt", attempt.to_bytes(4, "big")),
    ]
