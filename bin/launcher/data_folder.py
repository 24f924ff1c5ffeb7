"""The one folder where the state of an installation lives, used by one run at a time."""

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Final

from launcher.problem import Problem

__all__ = ["DataFolder"]

_MADE_BY_EVENTHUB: Final = (
    *("*.sqlite3", "*.sqlite3-wal", "*.sqlite3-shm", "*.sqlite3-journal", "event-writer.*"),
    *("secret_key", "credential_key", "celerybeat-schedule*", "migrations.stamp"),
    *("redis", "static", "plotly-*"),
)
# Longer than the minders of a killed run take to end what it started.
_ENDING_SECONDS: Final = 8.0


class DataFolder:
    """`lock` while it is used. The lock ends with the last process that holds its descriptor."""

    def __init__(self, path: Path) -> None:
        """Make the folder, for its owner alone. Raises Problem when it cannot be written."""
        self.path = path.resolve()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Problem(
                f"The data folder {self.path} cannot be written ({error.strerror}). Give another"
                " one with EVENTHUB_DATA_DIR."
            ) from None

    @property
    def lock_descriptor(self) -> int:
        return self._lock

    def lock(self, address: str) -> None:
        """Take the folder for this run. Raises Problem with the address of one that has it."""
        deadline = time.monotonic() + _ENDING_SECONDS
        while not self._try_lock():
            other, pid = self._holder()
            if _is_running(pid) or time.monotonic() > deadline:
                raise Problem(
                    f"EventHub is already running on {self.path}: open {other} (process {pid})."
                    " For a second one, set EVENTHUB_DATA_DIR to another folder."
                )
            time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{address} {os.getpid()}\n".encode(), 0)

    def made_by_eventhub(self) -> list[Path]:
        """What is in the folder and may be deleted to start afresh."""
        return sorted({path for name in _MADE_BY_EVENTHUB for path in self.path.glob(name)})

    def clear(self) -> None:
        """Delete what EventHub made; anything else in the folder stays."""
        for path in self.made_by_eventhub():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> tuple[str, int]:
        """Address and process of the run that holds the lock, as it wrote them."""
        words = os.pread(self._lock, 1000, 0).decode().split()
        return (words[0], int(words[1])) if len(words) == 2 else ("its address", 0)


def _is_running(pid: int) -> bool:
    """A run that was killed keeps the lock until its children are gone: that is worth a wait.
    One that has not written its address yet (0) is just starting."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
