"""One server process of a test: started, waited for, stopped or killed by its id, started again."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Process", "free_port", "port_answers", "wait_until"]


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_answers(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(holds: Callable[[], object], *, seconds: float, what: str) -> None:
    """Return as soon as `holds()` is true. Raises TimeoutError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Process:
    """A server that runs as one process group.

    `ready` is asked until it is true; an exception in it is up to the caller to catch. The output
    goes to the file `log`, whose end is shown when the server does not start. `user` is the id of
    the user and group to run as, for servers that refuse to be root.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: tuple[int, int] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.command = list(command)
        self.log = log
        self.ready = ready
        self.env = None if env is None else dict(env)
        self.cwd = cwd
        self.user = user
        self.stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None, "not started"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self, seconds: float = 30) -> None:
        """Start, and return when ready. Raises RuntimeError with the end of its output if not."""
        assert not self.running, "already started"
        group = None if self.user is None else self.user[1]
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                user=None if self.user is None else self.user[0],
                group=group,
                extra_groups=None if group is None else [group],
                start_new_session=True,
            )
        try:
            wait_until(lambda: not self.running or self.ready(), seconds=seconds, what="ready")
            if not self.running:
                raise RuntimeError(f"ended with {self._child.returncode}")
        except Exception as problem:
            self.kill()
            raise RuntimeError(f"{self.command[0]} did not start: {problem}\n{self.tail()}") from (
                problem
            )

    def stop(self, seconds: float = 20) -> None:
        """Ask it to stop, and wait; what is left of the group after `seconds` is killed."""
        if self._child is None:
            return
        if self.running:
            self._child.send_signal(self.stop_signal)
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self._kill_group()

    def kill(self) -> None:
        """SIGKILL to the whole group, as a crash would end it."""
        if self._child is not None:
            self._kill_group()
            self._child.wait()

    def _kill_group(self) -> None:
        assert self._child is not None
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            return

    def tail(self, lines: int = 40) -> str:
        """The end of the server's output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
