"""One process of EventHub: labelled in the log, started again when it dies, never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from launcher.log import Log

__all__ = ["Child"]

_MINDER: Final = (sys.executable, "-ISu", str(Path(__file__).with_name("minder.py")))
_HEALTHY_SECONDS: Final = 60.0
_LONGEST_WAIT: Final = 30.0


class Child:
    """`start` it once; it runs until `stop`. With `may_end`, ending with 0 is its own choice."""

    def __init__(
        self,
        label: str,
        command: Sequence[str],
        *,
        log: Log,
        environment: Mapping[str, str],
        cwd: Path,
        keep_open: Sequence[int] = (),
        grace: float = 3.5,
        may_end: bool = False,
    ) -> None:
        """`keep_open`: descriptors that the minder holds as long as the command lives. `grace`:
        seconds between being asked to stop and being killed."""
        self.label = label
        self._command = list(command)
        self._log = log
        self._environment = dict(environment)
        self._cwd = cwd
        self._keep_open = tuple(keep_open)
        self._grace = grace
        self._may_end = may_end
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._lifeline: int | None = None
        self._thread = threading.Thread(target=self._keep_running, name=label, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to stop; returns at once."""
        with self._guard:
            self._stopping.set()
            if self._lifeline is not None:
                os.close(self._lifeline)
                self._lifeline = None

    def join(self) -> None:
        """Wait until it and everything that it started is gone: at most its grace after `stop`."""
        self._thread.join()

    def _keep_running(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_once()
            if self._stopping.is_set():
                return
            if code == 0 and self._may_end:
                self._log.write(self.label, "has ended")
                return
            failures = 0 if time.monotonic() - began > _HEALTHY_SECONDS else failures
            wait = min(_LONGEST_WAIT, 2.0**failures)
            failures += 1
            told = f"ended with {_words(code)}; starts again in {wait:g} s"
            self._log.write(self.label, told, trouble=True)
            self._stopping.wait(wait)

    def _run_once(self) -> int:
        """Start the command under a minder and wait for its end. Returns its exit code."""
        reading, writing = os.pipe()
        with self._guard:
            if self._stopping.is_set():
                os.close(reading)
                os.close(writing)
                return 0
            minder = subprocess.Popen(
                [*_MINDER, str(reading), str(self._grace), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._cwd,
                pass_fds=(reading, *self._keep_open),
                start_new_session=True,
            )
            self._lifeline = writing
        os.close(reading)
        pump = threading.Thread(target=self._pump, args=(minder,), daemon=True)
        pump.start()
        code = minder.wait()
        with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(minder.pid, signal.SIGKILL)
        pump.join(1)
        with self._guard:
            if self._lifeline is not None:
                os.close(self._lifeline)
                self._lifeline = None
        return code

    def _pump(self, minder: "subprocess.Popen[bytes]") -> None:
        """Bring the output into the log, line by line, until the last writer is gone."""
        assert minder.stdout is not None
        with minder.stdout:
            for line in minder.stdout:
                self._log.write(self.label, line.decode(errors="replace").rstrip())


def _words(code: int) -> str:
    """An exit code, or the signal that a shell would report in its place."""
    if code > 128:
        with suppress(ValueError):
            return signal.Signals(code - 128).name
    return f"code {code}"
