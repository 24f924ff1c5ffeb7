"""Runs one command, and ends everything that it started when the launcher is gone.

    minder.py DESCRIPTOR SECONDS COMMAND...

DESCRIPTOR is the reading end of a pipe whose other end the launcher alone holds: it closes when
the launcher wants the command to stop, and when the launcher dies in whatever way, on Linux and
macOS alike. The command then gets SIGTERM, and after SECONDS its process group is killed. The
launcher starts the minder as the leader of that group.
"""

import os
import select
import signal
import subprocess
import sys
import threading


def main(lifeline: int, seconds: float, command: list[str]) -> int:
    child = subprocess.Popen(command)
    threading.Thread(target=_stop_at_end, args=(lifeline, seconds, child), daemon=True).start()
    code = child.wait()
    if select.select([lifeline], [], [], 0)[0]:
        _kill_group()
    return code if code >= 0 else 128 - code


def _stop_at_end(lifeline: int, seconds: float, child: "subprocess.Popen[bytes]") -> None:
    os.read(lifeline, 1)
    child.terminate()
    try:
        child.wait(seconds)
    finally:
        _kill_group()


def _kill_group() -> None:
    """The minder is part of the group: this is its end too."""
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
