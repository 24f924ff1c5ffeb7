"""Stand-ins for Amazon SQS, as processes of the tests' own: ElasticMQ, and moto with SNS.

`EVENTHUB_TEST_SQS` replaces ElasticMQ by a running endpoint ("http://127.0.0.1:9324"), or by
Amazon itself ("aws", with the environment's credentials and region).
"""

import os
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config

from tests.servers.certificates import Certificate
from tests.servers.installed import installed
from tests.servers.process import Process, free_port, port_answers

__all__ = ["Cloud", "client", "missing", "running"]

_ELASTICMQ = "elasticmq-1.7.1"
_JARS = installed(_ELASTICMQ)
_CONF = """\
include classpath("application.conf")
node-address {{ protocol = http, host = 127.0.0.1, port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-hostname = "127.0.0.1", bind-port = {port} }}
rest-stats.enabled = false
"""


class Cloud:
    """An endpoint that serves SQS, and maybe SNS, EventBridge and STS.

    `url` is None for Amazon itself; only what runs as a `process` of ours can be restarted.
    """

    def __init__(self, title: str, url: str | None, process: Process | None, fanout: bool) -> None:
        self.title = title
        self.url = url
        self.fanout = fanout
        self._process = process
        self._clients: dict[str, Any] = {}

    @property
    def port(self) -> int:
        """Where a proxy of the tests passes on to; 0 where it cannot."""
        return 0 if self.url is None else urlsplit(self.url).port or 0

    @property
    def restarts(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        assert self._process is not None
        self._process.start(seconds=60)

    def kill(self) -> None:
        """As after `kill -9`."""
        assert self._process is not None
        self._process.kill()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def client(self, service: str = "sqs", **more: Any) -> Any:
        """A plain client of the tests' own, for any thread."""
        if more:
            return client(self.url, service, **more)
        if service not in self._clients:
            self._clients[service] = client(self.url, service)
        return self._clients[service]


def client(url: str | None, service: str = "sqs", **more: Any) -> Any:
    named = {"region_name": "us-east-1", "endpoint_url": url}
    named |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    config = Config(max_pool_connections=20, read_timeout=30, retries={"total_max_attempts": 1})
    return botocore.session.Session().create_client(
        service, config=config, **({} if url is None else named) | more
    )


def missing(name: str = "elasticmq") -> str | None:
    """Why there is no such stand-in here; None when there is."""
    if name == "moto":
        return None if find_spec("moto") else "moto was not found (pip install 'moto[server]')"
    if os.environ.get("EVENTHUB_TEST_SQS"):
        return None
    if shutil.which("java") is None or not list(_JARS.glob("elasticmq-server*.jar")):
        return f"{_ELASTICMQ} or java was not found (bin/install-brokers sqs installs them)"
    return None


@contextmanager
def running(
    name: str = "elasticmq",
    *,
    environment: dict[str, str] | None = None,
    tls: Certificate | None = None,
) -> Iterator[Cloud]:
    """A stand-in in a temporary folder of its own, gone afterwards; the options are moto's."""
    given = os.environ.get("EVENTHUB_TEST_SQS")
    if given and name == "elasticmq":
        url = None if given == "aws" else given
        yield Cloud("Amazon SQS" if url is None else f"{url} (given)", url, None, url is None)
        return
    folder = Path(tempfile.mkdtemp(prefix="eventhub-sqs-"))
    cloud = _moto(folder, environment or {}, tls) if name == "moto" else _elasticmq(folder)
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _elasticmq(folder: Path) -> Cloud:
    port = free_port()
    conf = folder / "elasticmq.conf"
    conf.write_text(_CONF.format(port=port))
    command = [
        "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Dconfig.file={conf}",
        f"-Djava.io.tmpdir={folder}", "-cp", f"{_JARS}/*", "org.elasticmq.server.Main",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    process = Process(command, log=folder / "log", ready=lambda: _serves(url), cwd=folder)
    return Cloud(f"ElasticMQ {_ELASTICMQ.split('-')[1]} (emulator)", url, process, fanout=False)


def _moto(folder: Path, environment: dict[str, str], tls: Certificate | None) -> Cloud:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    if tls is not None:
        command += ["--ssl-cert", str(tls.certificate), "--ssl-key", str(tls.key)]
    url = f"http{'' if tls is None else 's'}://127.0.0.1:{port}"
    process = Process(
        command,
        log=folder / "log",
        ready=lambda: port_answers(port) if tls else _serves(url),
        cwd=folder,
        env={**os.environ, **environment},
    )
    return Cloud(f"moto {version('moto')} (emulator)", url, process, fanout=True)


def _serves(url: str) -> bool:
    """An endpoint of SQS may answer a plain GET with an error of its own."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except HTTPError:
        return True
    except OSError:
        return False
    return True
