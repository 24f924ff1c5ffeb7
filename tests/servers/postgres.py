"""A PostgreSQL server of the tests' own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.servers.process import Process, free_port

__all__ = ["Postgres", "missing", "running"]


def missing() -> str | None:
    """Why there is no PostgreSQL here; None when there is."""
    if _programs() is None:
        return "initdb was not found (bin/install-brokers installs it)"
    return None


class Postgres:
    """A started server. `url` names its database `postgres`; `new_database` makes others."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"postgresql://eventhub@127.0.0.1:{port}/postgres"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        """Fast shutdown: clients are disconnected, everything is on disk."""
        self._process.stop()

    def kill(self) -> None:
        """As after `kill -9` of the server and its children."""
        self._process.kill()

    def new_database(self, name: str, template: str = "template1") -> str:
        """Make an empty database, or a copy of another one that nobody uses, in place of one of
        that name. Returns its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            quoted = psycopg.sql.Identifier(name)
            drop = psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted)
            connection.execute(drop)
            create = psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(create.format(quoted, psycopg.sql.Identifier(template)))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()


@contextmanager
def running(*, fsync: bool = False) -> Iterator[Postgres]:
    """A server in a temporary folder of its own, gone afterwards.

    The folder is not one of pytest's: those are closed to the unprivileged user that the server
    needs when the tests run as root. `fsync=True` for tests of what a crash leaves.
    """
    programs = _programs()
    assert programs is not None, missing()
    folder = Path(tempfile.mkdtemp(prefix="eventhub-postgres-"))
    user = _user(folder)
    port = free_port()
    try:
        _make_cluster(programs, folder, user)
        server = Postgres(_process(programs, folder, port, user, fsync), port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4])
    )
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    return None if found is None else Path(found).resolve().parent


def _user(folder: Path) -> tuple[int, int] | None:
    """Who the server runs as: PostgreSQL refuses root. None: as the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        return entry.pw_uid, entry.pw_gid
    raise LookupError("PostgreSQL needs an unprivileged user: neither postgres nor nobody exists.")


def _make_cluster(programs: Path, folder: Path, user: tuple[int, int] | None) -> None:
    made = subprocess.run(
        [
            str(programs / "initdb"), "--pgdata", str(folder / "data"), "--username", "eventhub",
            "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync",
        ],
        cwd=folder, capture_output=True, text=True, check=False,
        user=None if user is None else user[0],
        group=None if user is None else user[1],
        extra_groups=None if user is None else [],
    )  # fmt: skip
    assert made.returncode == 0, f"initdb failed:\n{made.stdout}{made.stderr}"


def _process(
    programs: Path, folder: Path, port: int, user: tuple[int, int] | None, fsync: bool
) -> Process:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on" if fsync else "off",
        "timezone": "UTC",
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    return Process(
        [str(programs / "postgres"), "-D", str(folder / "data"), *options],
        log=folder / "log",
        ready=lambda: _answers(port),
        cwd=folder,
        user=user,
        stop_signal=signal.SIGINT,
    )


def _answers(port: int) -> bool:
    url = f"postgresql://eventhub@127.0.0.1:{port}/postgres"
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
