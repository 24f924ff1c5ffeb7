"""A RabbitMQ node of the tests' own, with the management plugin."""

import base64
import json
import os
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.process import Process, free_port

__all__ = ["RabbitMQServer", "missing", "running"]

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
# /usr/sbin/rabbitmq-server changes user and so cannot keep its files in our folder.

_CONF = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
loopback_users = none
collect_statistics_interval = 1000
disk_free_limit.absolute = 50MB
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {certificate}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
"""


def missing() -> str | None:
    """Why there is no RabbitMQ here; None when there is."""
    if not _PROGRAM.exists():
        return "rabbitmq-server was not found (bin/install-brokers installs it)"
    return None


class RabbitMQServer:
    """A started node. Its one user is `guest` with password `guest`.

    `tls_port` speaks TLS with a certificate for localhost that `certificate` vouches for.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.tls_port = free_port()
        self.certificate = folder / "certificate.pem"
        self.management_port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self.management_url = f"http://127.0.0.1:{self.management_port}"
        self._folder = folder
        key = folder / "key.pem"
        _certify(self.certificate, key)
        settings = {
            "port": self.port,
            "tls_port": self.tls_port,
            "management_port": self.management_port,
            "certificate": self.certificate,
            "key": key,
        }
        (folder / "rabbitmq.conf").write_text(_CONF.format(**settings))
        (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        environment = self._environment()
        self._mapper_port = environment["ERL_EPMD_PORT"]
        self._process = Process(
            [str(_PROGRAM)], log=folder / "output", ready=self._answers, env=environment
        )

    @cached_property
    def version(self) -> str:
        """The node's own, once it has started."""
        version: str = self.api("GET", "/overview")["rabbitmq_version"]
        return version

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start(seconds=60)

    def stop(self) -> None:
        self._process.stop(seconds=30)

    def kill(self) -> None:
        self._process.kill()

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API, for example `api("GET", "/queues/%2F")`."""
        request = urllib.request.Request(
            f"{self.management_url}/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read() or b"null")

    def add_user(self, name: str, password: str, *, tags: str = "", **allowed: str) -> None:
        """A user who may `configure`, `write` and `read` what these patterns match, on `/`."""
        self.api("PUT", f"/users/{name}", {"password": password, "tags": tags})
        permissions = {"configure": "", "write": "", "read": "", **allowed}
        self.api("PUT", f"/permissions/{quote('/', safe='')}/{name}", permissions)

    def _answers(self) -> bool:
        try:
            self.api("GET", "/overview")
        except (URLError, OSError):
            return False
        return True

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"eh{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1}"),
        }

    def stop_port_mapper(self) -> None:
        """epmd, which the node starts, outlives it in a process group of its own."""
        marker = f"ERL_EPMD_PORT={self._mapper_port}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (entry / "comm").read_text().strip() == "epmd" and marker in (
                    entry / "environ"
                ).read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGTERM)


def _certify(certificate: Path, key: Path) -> None:
    """A key, and a certificate for localhost that it signs itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextmanager
def running() -> Iterator[RabbitMQServer]:
    """A node in a temporary folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="eventhub-rabbitmq-"))
    server = RabbitMQServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.stop_port_mapper()
        shutil.rmtree(folder, ignore_errors=True)
