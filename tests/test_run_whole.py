"""`bin/run` from start to end: the page, its processes, and that nobody is left behind."""

import http.cookiejar
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from launcher.data_folder import DataFolder

from tests.servers.process import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
LABELS = ["redis", "web", "collect", "demo", "tasks", "schedule"]
NOT_PASSED_ON = {"REDIS_URL", "DATABASE_URL", "DJANGO_ALLOW_ASYNC_UNSAFE", "DJANGO_SETTINGS_MODULE"}


class Run:
    """A started `bin/run` with a data folder of its own."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        environment = {k: v for k, v in os.environ.items() if k not in NOT_PASSED_ON}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "bin/run"), "--port", str(self.port), *arguments],
            env={**environment, "EVENTHUB_DATA_DIR": str(data)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, start: str) -> str | None:
        """The rest of the first line that starts so."""
        return next((line[len(start) :] for line in self.lines if line.startswith(start)), None)

    def wait_for(self, start: str, seconds: float = 60) -> str:
        try:
            wait_until(lambda: self.said(start) or self.process.poll() is not None,
                       seconds=seconds, what=start)  # fmt: skip
        except TimeoutError as error:
            raise AssertionError(f"{error}:\n" + "\n".join(self.lines)) from None
        found = self.said(start)
        assert found is not None, "\n".join(self.lines)
        return found

    def members(self) -> dict[int, str]:
        """Every process that works on this data folder, but for `bin/run` itself."""
        found = {}
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("EVENTHUB_DATA_DIR") == str(self.data)
                if mine and process.pid != self.process.pid:
                    found[process.pid] = " ".join(process.cmdline())
            except psutil.Error:
                continue
        return found

    def nobody_is_left(self, seconds: float) -> None:
        try:
            wait_until(lambda: not self.members(), seconds=seconds, what="nobody is left")
        except TimeoutError:
            raise AssertionError(f"left behind: {self.members()}") from None


@contextmanager
def started(data: Path, *arguments: str) -> Iterator[Run]:
    run = Run(data, *arguments)
    try:
        run.wait_for("eventhub   Open ")
        yield run
    finally:
        run.process.kill()
        run.process.wait()
        run.nobody_is_left(seconds=10)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with started(tmp_path_factory.mktemp("run") / "data") as run:
        yield run


def get(url: str) -> tuple[str, str]:
    """Follow a link as a browser does. Returns the address it leads to and the page."""
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )
    with browser.open(url, timeout=10) as response:
        return response.url, response.read().decode()


def test_the_link_in_the_last_line_opens_a_page(run: Run) -> None:
    link = run.wait_for("eventhub   Open ")
    assert link.startswith(f"{run.address}/sign-in/")
    _, page = get(link)
    assert "EventHub" in page


def test_every_part_runs_in_a_session_of_its_own(run: Run) -> None:
    # Children of `bin/run` only: a minder that is just starting its command is there twice.
    children = psutil.Process(run.process.pid).children()
    minders = [child for child in children if "minder.py" in " ".join(child.cmdline())]
    assert len(minders) == len(LABELS)
    assert {os.getsid(minder.pid) for minder in minders} == {minder.pid for minder in minders}


def test_nobody_else_reads_the_keys_and_events(run: Run) -> None:
    readable = {
        str(path.relative_to(run.data)): oct(path.stat().st_mode)
        for path in run.data.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077
    }
    assert (run.data / "secret_key").exists()
    assert readable == {}


def test_a_reset_would_delete_everything_that_it_made(run: Run) -> None:
    made = {path.name for path in DataFolder(run.data).made_by_eventhub()}
    assert {path.name for path in run.data.iterdir()} - made == {"lock"}


def test_a_second_run_on_the_same_data_is_told_the_address(run: Run) -> None:
    second = Run(run.data)
    assert second.process.wait(10) == 1
    told = f"EventHub is already running on {run.data}: open {run.address} "
    wait_until(lambda: second.lines, seconds=5, what="its words")
    assert second.lines[0].startswith(told)


def test_a_part_that_dies_starts_again(run: Run) -> None:
    web = next(
        pid for pid, line in run.members().items() if "daphne" in line and "minder" not in line
    )
    os.kill(web, signal.SIGKILL)
    assert run.wait_for("web        ended with ", seconds=10) == "SIGKILL; starts again in 1 s"

    def page_answers() -> bool:
        try:
            return "EventHub" in get(f"{run.address}/sign-in/")[1]
        except OSError:
            return False

    wait_until(page_answers, seconds=30, what="the page again")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_asked_to_stop_ends_everything_within_five_seconds(
    number: signal.Signals, tmp_path: Path
) -> None:
    with started(tmp_path / "data") as run:
        began = time.monotonic()
        run.process.send_signal(number)
        assert run.process.wait(10) == 0
        assert time.monotonic() - began < 5
        run.nobody_is_left(seconds=0.5)


def test_killing_it_leaves_nobody_behind(tmp_path: Path) -> None:
    with started(tmp_path / "data") as run:
        wait_until(
            lambda: sum("-m celery" in line for line in run.members().values()) == 6,
            seconds=20,
            what="two minders, a worker with its pool of two, and a schedule",
        )
        run.process.kill()
        run.process.wait()
        run.nobody_is_left(seconds=6)


def test_a_run_right_after_a_killed_one_waits_for_its_end_and_skips_what_is_up_to_date(
    tmp_path: Path,
) -> None:
    with started(tmp_path / "data", "--no-demo") as first:
        first.process.kill()
        first.process.wait()
        with started(tmp_path / "data", "--no-demo") as second:
            assert second.said("redis      ended") is None
            assert first.said("eventhub   The database is ready.") is not None
            assert second.said("eventhub   The database is ready.") is None
