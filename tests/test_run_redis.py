"""The embedded Redis of `bin/run`: private, and where it was at the next start."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from launcher.child import Child
from launcher.embedded_redis import EmbeddedRedis
from launcher.log import Log
from launcher.problem import Problem

from tests.servers.process import wait_until

ENVIRONMENT = Path(sys.prefix)


@contextmanager
def running(data: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(data, ENVIRONMENT)
    log = Log(lambda: None)
    child = Child("redis", server.command, log=log, environment=os.environ, cwd=data)
    child.start()
    try:
        wait_until(server.answers, seconds=10, what="it answers")
        yield server
    finally:
        child.stop()
        child.join()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder whose name needs care in a configuration file."""
    folder = tmp_path / 'my "data" \\ folder'
    folder.mkdir()
    return folder


def test_it_answers_whom_it_was_started_for_and_nobody_else(data: Path) -> None:
    with running(data) as server:
        assert redis.Redis.from_url(server.url).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port, password="guess").ping()


def test_what_it_holds_and_where_it_is_are_the_same_after_a_restart(data: Path) -> None:
    with running(data) as first:
        redis.Redis.from_url(first.url).xadd("dead-letters", {"payload": b"\xff\x00"})
    with running(data) as second:
        assert second.url == first.url
        kept: Any = redis.Redis.from_url(second.url).xrange("dead-letters")
        assert [fields for _, fields in kept] == [{b"payload": b"\xff\x00"}]


def test_it_moves_when_somebody_has_taken_its_port(data: Path) -> None:
    first = EmbeddedRedis(data, ENVIRONMENT)
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.port))
        other.listen()
        with running(data) as second:
            assert second.port != first.port


def test_its_password_is_for_its_owner_alone(data: Path) -> None:
    EmbeddedRedis(data, ENVIRONMENT)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (data / "redis").iterdir()}
    assert modes == {"password": 0o600, "port": 0o600, "valkey.conf": 0o600}


def test_a_machine_without_an_embedded_server_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="name it in REDIS_URL"):
        EmbeddedRedis(tmp_path, tmp_path / "environment")
