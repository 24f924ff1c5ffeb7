"""A RabbitMQ node of the tests' own, with the management plugin.

`EVENTHUB_TEST_RABBITMQ=amqp://user:password@host:5672/?management=http://host:15672` names one that
runs and is to be used instead; without `management` its API is on port 15672 of the host. The user
is an administrator: the tests make users, exchanges and queues on the virtual host `/`, and switch
the firehose on and off there. Such a server is not restarted, and what needs certificates of this
folder is left out.
"""

import base64
import json
import os
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from tests.brokers.rabbitmq.certificates import Authority
from tests.servers.process import Process, free_port, port_answers

__all__ = ["OwnServer", "RabbitMQServer", "missing", "own", "running"]

_VARIABLE: Final = "EVENTHUB_TEST_RABBITMQ"
_PROGRAM: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
# /usr/sbin/rabbitmq-server changes user and so cannot keep its files in our folder.

_CONF: Final = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
loopback_users = none
collect_statistics_interval = 1000
disk_free_limit.absolute = 50MB
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
"""


def missing() -> str | None:
    """Why there is no RabbitMQ here; None when there is."""
    if os.environ.get(_VARIABLE):
        return None
    if not _PROGRAM.exists():
        return "rabbitmq-server was not found (bin/install-brokers installs it)"
    return None


class RabbitMQServer:
    """A running node, whoever started it. The user of `url` may do everything on it."""

    ours = False
    """Whether it may be stopped and has TLS: then it is an `OwnServer`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or "localhost"
        self.port = parts.port or 5672
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.url = parts._replace(query="").geturl()
        told = parse_qs(parts.query).get("management")
        self.management_url = told[0] if told else f"http://{self.host}:15672"

    @cached_property
    def version(self) -> str:
        """The node's own, once it has started."""
        version: str = self.api("GET", "/overview")["rabbitmq_version"]
        return version

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API, for example `api("GET", "/queues/%2F")`."""
        login = f"{self.user}:{self.password}".encode()
        request = urllib.request.Request(
            f"{self.management_url}/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Basic {base64.b64encode(login).decode()}",
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

    def trace(self, *, on: bool) -> None:
        """Switch the firehose of `/` on or off, as `rabbitmqctl trace_on` does."""
        self.api("PUT", "/vhosts/%2F", {"tracing": on})


class OwnServer(RabbitMQServer):
    """A node in `folder`. Its one user with a password is `guest` with password `guest`.

    `tls_port` speaks TLS with a certificate for localhost, and asks clients for one of theirs by
    the same authority; a user is named as its common name. The node reads its certificate anew with
    each connection, so that a test can put an expired one in its place.
    """

    ours = True

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"amqp://guest:guest@127.0.0.1:{free_port()}/?management=http://127.0.0.1:{free_port()}"
        )
        self.tls_port = free_port()
        self.authority = Authority(folder)
        self.certificate = self.authority.issue("localhost")
        self._folder = folder
        settings = {
            "port": self.port,
            "tls_port": self.tls_port,
            "management_port": self.management_url.rpartition(":")[2],
            "authority": self.authority.certificate,
            "certificate": self.certificate.certificate,
            "key": self.certificate.key,
        }
        (folder / "rabbitmq.conf").write_text(_CONF.format(**settings))
        (folder / "enabled_plugins").write_text(
            "[rabbitmq_management, rabbitmq_auth_mechanism_ssl].\n"
        )
        environment = self._environment()
        self._mapper_port = environment["ERL_EPMD_PORT"]
        self._process = Process(
            [str(_PROGRAM)], log=folder / "output", ready=self._answers, env=environment
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start(seconds=60)

    def stop(self) -> None:
        self._process.stop(seconds=30)

    def kill(self) -> None:
        self._process.kill()

    def _answers(self) -> bool:
        """The management API is up before the listeners are."""
        try:
            self.api("GET", "/overview")
        except (URLError, OSError):
            return False
        return port_answers(self.port) and port_answers(self.tls_port)

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
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"
            " -ssl bypass_pem_cache true",
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


@contextmanager
def running() -> Iterator[RabbitMQServer]:
    """A node in a temporary folder of its own, gone afterwards; or the one that is named."""
    if url := os.environ.get(_VARIABLE):
        yield RabbitMQServer(url)
        return
    folder = Path(tempfile.mkdtemp(prefix="eventhub-rabbitmq-"))
    server = OwnServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.stop_port_mapper()
        shutil.rmtree(folder, ignore_errors=True)


def own(server: RabbitMQServer) -> OwnServer:
    """The server, of which a test needs more than a given one allows; else it is skipped."""
    if not isinstance(server, OwnServer):
        pytest.skip(f"the RabbitMQ that {_VARIABLE} names is not ours to configure or to restart")
    return server
