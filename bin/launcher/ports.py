"""TCP ports of this machine: which are free, and who has the others."""

import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from launcher.problem import Problem

__all__ = ["HOST", "free_port", "is_free", "need_port"]

HOST = "127.0.0.1"


def need_port(port: int) -> None:
    """Raises Problem that names who has the port, and offers the next one that is free."""
    if is_free(port):
        return
    following = next((near for near in range(port + 1, port + 200) if is_free(near)), free_port())
    raise Problem(f"Port {port} is taken{_by_whom(port)}. Another one: bin/run --port {following}")


def is_free(port: int) -> bool:
    """Whether this user can listen on the port, and nobody else does."""
    if port > 65535:
        return False
    with suppress(OSError):
        # Beside a wildcard listener, macOS lets a second one bind: so first ask who answers.
        socket.create_connection((HOST, port), timeout=1).close()
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise Problem(f"Port {port} is for root alone. Another one: --port 8000") from None
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _by_whom(port: int) -> str:
    """` by NAME (process N)`, as far as this user may know."""
    found = _listener_in_proc(port) if Path("/proc/net/tcp").exists() else _listener_of_lsof(port)
    return "" if found is None else f" by {found[1]} (process {found[0]})"


def _listener_in_proc(port: int) -> tuple[int, str] | None:
    listening = "0A"
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == listening and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return int(process.name), (process / "comm").read_text().strip()
    return None


def _listener_of_lsof(port: int) -> tuple[int, str] | None:
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    told = subprocess.run(
        [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    fields = {line[0]: line[1:] for line in told.stdout.splitlines()[:2]}
    return (int(fields["p"]), fields["c"]) if {"p", "c"} <= fields.keys() else None
