"""One run: the processes of EventHub, from their start until all of them are gone."""

import http.client
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from launcher.child import Child
from launcher.data_folder import DataFolder
from launcher.database import need_tables
from launcher.embedded_redis import EmbeddedRedis
from launcher.log import Log
from launcher.ports import HOST
from launcher.problem import Problem
from launcher.programs import Program, collectors, demo, page, tasks

__all__ = ["Run"]

_LABEL: Final = "eventhub"
_REDIS: Final = "redis"
_LONG_WAIT: Final = 60.0


class Run:
    """`go` returns after Ctrl-C, SIGTERM, a closed terminal, or a log that nobody reads."""

    def __init__(
        self,
        *,
        root: Path,
        folder: DataFolder,
        python: Path,
        port: int,
        demo: bool,
        demo_rabbitmq: str | None,
    ) -> None:
        self._root = root
        self._folder = folder
        self._python = python
        self._port = port
        self._demo = demo
        self._demo_rabbitmq = demo_rabbitmq
        self._stopping = threading.Event()
        self._log = Log(self._stopping.set)
        self._children: list[Child] = []
        self._environment = {
            **os.environ,
            "EVENTHUB_DATA_DIR": str(folder.path),
            "DJANGO_SETTINGS_MODULE": "eventhub.settings",
            "PYTHONUNBUFFERED": "1",
        }

    def go(self) -> None:
        """Raises Problem when EventHub cannot be started."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stopping.set())
        # Events and keys are for the eyes of whom they belong to.
        os.umask(0o077)
        began = time.monotonic()
        try:
            self._start_redis()
            if need_tables(self._root, self._folder.path, self._python, self._environment):
                self._say("The database is ready.")
            # The page first: all at once, on two cores, it would come two seconds later.
            self._start(page(self._python, self._port))
            signing_in = self._ask_for_link()
            self._wait_for(self._page_answers, "the page")
            for program in self._others():
                self._start(program)
            link = signing_in.communicate()[0].strip()
            if not self._stopping.is_set():
                self._say(f"Ready after {time.monotonic() - began:.1f} s. Ctrl-C stops it.")
                self._say(f"Open {link}" if link else "Open manage.py signin for a link.")
            self._stopping.wait()
        except Problem:
            # Ctrl-C in a terminal also stops the migrations, which then have failed.
            if not self._stopping.is_set():
                raise
        finally:
            self._stop_all()

    def _start_redis(self) -> None:
        if self._environment.get("REDIS_URL"):
            return
        redis = EmbeddedRedis(self._folder.path, self._python.parent.parent)
        self._environment["REDIS_URL"] = redis.url
        self._start(Program(_REDIS, redis.command), grace=0.7)
        self._wait_for(redis.answers, "the embedded Redis")

    def _others(self) -> list[Program]:
        found = [collectors(self._python), *tasks(self._python)]
        if self._demo:
            found.insert(1, demo(self._python, self._demo_rabbitmq))
        return found

    def _start(self, program: Program, *, grace: float = 3.5) -> None:
        child = Child(
            program.label,
            program.command,
            log=self._log,
            environment=self._environment,
            cwd=self._root,
            keep_open=[self._folder.lock_descriptor],
            grace=grace,
            may_end=program.may_end,
        )
        self._children.append(child)
        child.start()

    def _ask_for_link(self) -> "subprocess.Popen[str]":
        address = f"http://{HOST}:{self._port}"
        return subprocess.Popen(
            [str(self._python), "manage.py", "signin", "--base-url", address],
            cwd=self._root, env=self._environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _page_answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _wait_for(self, answers: Callable[[], bool], what: str) -> None:
        """Until it answers or the run is stopped; says so once when that takes long."""
        long_since = time.monotonic() + _LONG_WAIT
        while not self._stopping.is_set() and not answers():
            if time.monotonic() > long_since:
                long_since = float("inf")
                self._say(f"No answer from {what} yet: the lines above may say why.")
            self._stopping.wait(0.05)

    def _stop_all(self) -> None:
        """Redis last: the others say good-bye through it."""
        self._say("Stopping.")
        last = [child for child in self._children if child.label == _REDIS]
        for some in ([child for child in self._children if child not in last], last):
            for child in some:
                child.stop()
            for child in some:
                child.join()

    def _say(self, text: str) -> None:
        self._log.write(_LABEL, text)
