"""The tests' own servers."""

import sys
from pathlib import Path

import psycopg
import pytest

from tests.servers.postgres import Postgres
from tests.servers.process import Process


def test_a_server_that_ends_at_once_is_reported_with_its_output(tmp_path: Path) -> None:
    program = "import sys; print('no such cluster'); sys.exit(3)"
    server = Process([sys.executable, "-c", program], log=tmp_path / "log", ready=lambda: False)
    with pytest.raises(RuntimeError, match="ended with 3\nno such cluster"):
        server.start()


def test_a_server_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    program = "import time; time.sleep(60)"
    server = Process([sys.executable, "-c", program], log=tmp_path / "log", ready=lambda: False)
    with pytest.raises(RuntimeError, match="Not within"):
        server.start(seconds=0.3)
    assert not server.running


def test_postgres_keeps_what_was_committed_when_it_is_killed_and_started_again(
    postgres: Postgres,
) -> None:
    url = postgres.new_database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == [(1,)]
