"""The virtual environment in `.venv`, with the packages that a requirements file pins."""

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from launcher.problem import Problem

__all__ = ["Packages"]

_NO_NETWORK: Final = (
    "NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ProxyError",
    "Failed to establish a new connection", "Temporary failure in name resolution",
    "Network is unreachable", "ConnectionError", "Read timed out",
)  # fmt: skip


class Packages:
    """Installs only when something changed: each requirements file leaves its digest behind."""

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self._root = root
        self._say = say
        self._folder = root / ".venv"
        self.python = self._folder / "bin" / "python"

    def install(self, *files: str, compile_from_source: bool = False) -> None:
        """Have what these requirements files pin. The last one is installed; it includes the
        others. Wheels alone, unless told otherwise. Raises Problem in words for a person."""
        digests = {name: self._digest(name) for name in files}
        self._need_environment()
        if all(self._stamp(name) == digest for name, digest in digests.items()):
            return
        self._say(f"Installing the packages of {files[-1]}: about a minute, only this once.")
        self._pip_install(files[-1], [] if compile_from_source else ["--only-binary", ":all:"])
        for name, digest in digests.items():
            self._stamp_path(name).write_text(digest)

    def _need_environment(self) -> None:
        if self._works():
            return
        missing = [name for name in ("venv", "ensurepip") if not importlib.util.find_spec(name)]
        if missing:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise Problem(
                f"Python's {missing[0]} module is missing. On Debian and Ubuntu:"
                f" apt-get install python{version}-venv"
            )
        self._say("Making a virtual environment in .venv.")
        made = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(self._folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode != 0:
            last = (made.stdout + made.stderr).strip().splitlines()[-1:]
            raise Problem(f"The virtual environment .venv cannot be made: {' '.join(last)}")

    def _works(self) -> bool:
        """Whether the environment is there, of this Python or a later one, and not moved away
        from the Python that it was made with."""
        if not self.python.exists():
            return False
        asked = subprocess.run(
            [str(self.python), "-ISc", "import sys; print(sys.version_info >= (3, 11))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return asked.stdout.strip() == "True"

    def _pip_install(self, file: str, only: list[str]) -> None:
        done = subprocess.run(
            [
                str(self.python), "-m", "pip", "--disable-pip-version-check", "install",
                "--quiet", "--no-input", "--require-hashes", *only,
                "--retries", "3", "--requirement", file,
            ],
            cwd=self._root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        told = done.stdout + done.stderr
        if any(sign in told for sign in _NO_NETWORK):
            raise Problem(
                "No network: the packages cannot be fetched. Connect, or name a mirror in"
                " PIP_INDEX_URL, and start again."
            )
        errors = [line for line in told.splitlines() if line.startswith("ERROR")]
        raise Problem(f"The packages cannot be installed. {' '.join(errors[:2]) or told.strip()}")

    def _digest(self, name: str) -> str:
        content = (self._root / name).read_bytes()
        return hashlib.sha256(content).hexdigest()

    def _stamp_path(self, name: str) -> Path:
        return self._folder / f"{name}.sha256"

    def _stamp(self, name: str) -> str | None:
        path = self._stamp_path(name)
        return path.read_text() if path.exists() else None
