"""A process of `bin/run`: started again when it dies, ended with all that it started."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from launcher.child import Child
from launcher.log import Log

from tests.servers.process import wait_until

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
grandchild = subprocess.Popen([sys.executable, "-c", inner])
print("pids", os.getpid(), grandchild.pid, flush=True)
time.sleep(60)
"""
"""A process and a child of its own that both ignore SIGTERM."""


@contextmanager
def running(
    folder: Path, program: str, *, grace: float = 4.0, may_end: bool = False
) -> Iterator[tuple[Child, io.StringIO]]:
    output = io.StringIO()
    child = Child(
        "part",
        [sys.executable, "-c", program],
        log=Log(lambda: None, output),
        environment=os.environ,
        cwd=folder,
        grace=grace,
        may_end=may_end,
    )
    child.start()
    try:
        yield child, output
    finally:
        child.stop()
        child.join()


def pids(text: str) -> list[int]:
    """The numbers of the first whole line of STUBBORN's output."""
    lines = [line for line in text.splitlines(keepends=True) if " pids " in line]
    return [int(word) for word in lines[0].split()[2:]] if lines and lines[0][-1] == "\n" else []


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_each_line_of_its_output_is_labelled(tmp_path: Path) -> None:
    program = r"import time; print('one\ntwo'); time.sleep(60)"
    with running(
        tmp_path, f"import sys; sys.stdout.reconfigure(line_buffering=True); {program}"
    ) as (
        _,
        output,
    ):
        wait_until(lambda: output.getvalue().count("\n") == 2, seconds=10, what="two lines")
    assert output.getvalue() == "part       one\npart       two\n"


def test_it_starts_again_after_it_has_died_later_each_time(tmp_path: Path) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with running(tmp_path, program) as (_, output):
        wait_until(lambda: output.getvalue().count("\n") == 2, seconds=10, what="it died twice")
    assert output.getvalue().splitlines() == [
        "part       ended with SIGKILL; starts again in 1 s",
        "part       ended with SIGKILL; starts again in 2 s",
    ]


def test_it_stays_away_when_it_has_ended_by_its_own_choice(tmp_path: Path) -> None:
    with running(tmp_path, "print('done')", may_end=True) as (child, output):
        child.join()
        assert output.getvalue().splitlines() == ["part       done", "part       has ended"]


def test_stopping_asks_first_and_lets_it_finish(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "def finish(*_):\n    time.sleep(0.3)\n    print('committed', flush=True)\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, finish)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    with running(tmp_path, program) as (child, output):
        wait_until(lambda: "ready" in output.getvalue(), seconds=10, what="it is ready")
        child.stop()
        child.join()
        assert output.getvalue().splitlines() == ["part       ready", "part       committed"]


def test_stopping_ends_what_does_not_listen_and_its_children(tmp_path: Path) -> None:
    with running(tmp_path, STUBBORN, grace=0.5) as (child, output):
        wait_until(lambda: pids(output.getvalue()), seconds=10, what="both run")
        began = time.monotonic()
        child.stop()
        child.join()
        assert 0.5 <= time.monotonic() - began < 3
        found = pids(output.getvalue())
        wait_until(lambda: not any(map(alive, found)), seconds=1, what="nobody is left")


def test_killing_the_launcher_ends_what_does_not_listen_and_its_children(tmp_path: Path) -> None:
    launcher = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from launcher.child import Child\n"
        "from launcher.log import Log\n"
        f"command = [sys.executable, '-c', {STUBBORN!r}]\n"
        "child = Child('part', command, log=Log(lambda: None), environment=os.environ,"
        " cwd=Path.cwd(), grace=0.5)\n"
        "child.start()\n"
        "time.sleep(60)"
    )
    bin_folder = Path(__file__).resolve().parent.parent / "bin"
    with subprocess.Popen(
        [sys.executable, "-c", launcher],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(bin_folder)},
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        found = pids(process.stdout.readline().decode())
        assert [alive(pid) for pid in found] == [True, True]
        process.kill()
        wait_until(lambda: not any(map(alive, found)), seconds=5, what="nobody is left")


def test_killing_its_minder_leaves_no_second_copy(tmp_path: Path) -> None:
    with running(tmp_path, STUBBORN) as (_, output):
        wait_until(lambda: pids(output.getvalue()), seconds=10, what="both run")
        first = pids(output.getvalue())
        minder = psutil.Process(first[0]).parent()
        assert minder is not None
        minder.kill()
        wait_until(lambda: not any(map(alive, first)), seconds=5, what="the first copy is gone")
        wait_until(lambda: output.getvalue().count(" pids ") == 2, seconds=10, what="a new one")
