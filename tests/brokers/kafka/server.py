"""Apache Kafka in KRaft mode: one node of the tests' own, with a listener for every way to sign in.

`EVENTHUB_TEST_KAFKA=host:port` names a running broker (without authentication, and free to make
topics on) to be used instead. What needs more of it, another listener or a restart, is skipped.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.brokers.kafka.certificates import Certificates, make_certificates
from tests.servers.installed import installed
from tests.servers.process import Process, free_port

__all__ = ["PASSWORD", "USER", "Broker", "KafkaServer", "missing", "running"]

USER: Final = "watcher"
PASSWORD: Final = "watcher's secret"
_VARIABLE: Final = "EVENTHUB_TEST_KAFKA"
_VERSION: Final = "4.0.2"
_JARS: Final = installed(f"kafka-{_VERSION}")
_CLUSTER: Final = "4L6g3nShT-eMCtK--X86sw"
_SASL: Final = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"


def missing() -> str | None:
    """Why there is no Kafka to test with; None when there is one."""
    if os.environ.get(_VARIABLE):
        return None
    if shutil.which("java") is None:
        return "java was not found (bin/install-brokers kafka installs it)"
    if not _JARS.is_dir():
        return f"Apache Kafka {_VERSION} was not found (bin/install-brokers kafka fetches it)"
    return None


class Broker:
    """A running broker, whoever started it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.title = f"Kafka at {address}"

    @cached_property
    def admin(self) -> AdminClient:
        """Shared by the tests of a server; may do anything."""
        return _admin(self.address)


class KafkaServer(Broker):
    """A node with these listeners on 127.0.0.1: `port` (nobody signs in), `sasl_port` (PLAIN, SCRAM
    and unsecured OAUTHBEARER), `sasl_tls_port` (the same in TLS), `tls_port` (client certificates),
    and `proxied_port`, which tells its clients to come to `advertised_port`, where nothing listens
    but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self.sasl_port, self.sasl_tls_port, self.tls_port = (
            free_port(), free_port(), free_port(), free_port(),
        )  # fmt: skip
        self.proxied_port, self.advertised_port = free_port(), free_port()
        self._controller_port = free_port()
        self.certificates: Certificates = make_certificates(folder)
        super().__init__(f"127.0.0.1:{self.port}")
        self.title = f"Apache Kafka {_VERSION}"
        self._properties = folder / "server.properties"
        self._properties.write_text(self._settings())
        java = ["java", "-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp", f"{_JARS}/*"]
        self._format = Process(
            [
                *java, "kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER,
                "--config", str(self._properties),
                "--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]",
                "--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
            ],
            log=folder / "format.log",
            ready=lambda: not self._format.running,
        )  # fmt: skip
        self._process = Process(
            [*java, "kafka.Kafka", str(self._properties)],
            log=folder / "kafka.log",
            ready=self._answers,
        )

    def start(self) -> None:
        if not (self._folder / "log" / "meta.properties").exists():
            self._format_storage()
        self._process.start(60)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """As after `kill -9`."""
        self._process.kill()

    def _format_storage(self) -> None:
        try:
            self._format.start(60)
        except RuntimeError:
            # `start` takes a program that ends for one that failed; the file tells.
            if not (self._folder / "log" / "meta.properties").exists():
                raise

    def _answers(self) -> bool:
        try:
            return bool(_admin(self.address).list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def _settings(self) -> str:
        ports = {
            "OPEN": self.port, "SASL": self.sasl_port, "SASLTLS": self.sasl_tls_port,
            "TLS": self.tls_port, "PROXIED": self.proxied_port,
        }  # fmt: skip
        listeners = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
        advertised = ",".join(listeners).replace(str(self.proxied_port), str(self.advertised_port))
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "OPEN",
            "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{self._controller_port}"]),
            "advertised.listeners": advertised,
            "listener.security.protocol.map": "OPEN:PLAINTEXT,PROXIED:PLAINTEXT,TLS:SSL,"
            "SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._folder / "log"),
            # The default, which makes a client that does not take care create topics.
            "auto.create.topics.enable": "true",
            "num.partitions": "1",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            # A node that was killed may come back once its session has ended, after 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            # Whoever is not signed in may do anything, the others what no ACL denies them.
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "true",
            "sasl.enabled.mechanisms": _SASL,
            **self._sasl("sasl"),
            **self._sasl("sasltls"),
            **self.certificates.server_settings(),
            "listener.name.tls.ssl.client.auth": "required",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _sasl(self, listener: str) -> dict[str, str]:
        module = "org.apache.kafka.common.security"
        logins = {
            "plain": f"{module}.plain.PlainLoginModule required "
            f'user_{USER}="{PASSWORD}" user_stranger="{PASSWORD}";',
            "scram-sha-256": f"{module}.scram.ScramLoginModule required;",
            "scram-sha-512": f"{module}.scram.ScramLoginModule required;",
            "oauthbearer": f"{module}.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="node";',
        }
        return {
            f"listener.name.{listener}.{mechanism}.sasl.jaas.config": login
            for mechanism, login in logins.items()
        }


def _admin(address: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": address, "log_level": 0})


@contextmanager
def running() -> Iterator[Broker]:
    """A node in a temporary folder of its own, gone afterwards; or the one that is named."""
    if address := os.environ.get(_VARIABLE):
        yield Broker(address)
        return
    folder = Path(tempfile.mkdtemp(prefix="eventhub-kafka-"))
    server = KafkaServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
