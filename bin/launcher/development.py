"""What `bin/test` and `bin/lint` do."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from launcher.packages import Packages
from launcher.problem import Problem

__all__ = ["lint", "run_tests"]

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
# Three workers on two cores: each starts brokers of its own, and waits for them a part of its time.
# A file stays on one worker, because its tests share a browser.
_ALL: Final = ("--numprocesses", "3", "--dist", "loadfile")
_COMPILED: Final = ("requirements-activemq.txt",)
"""Libraries without wheels, which not every machine can build."""
_CHECKS: Final = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy", "."),
    ("lint-imports", "--no-logo"),
    ("manage", "makemigrations", "--check", "--dry-run"),
    ("manage", "check", "--fail-level", "WARNING"),
)


def run_tests(arguments: Sequence[str]) -> NoReturn:
    """Become pytest with these arguments, or all tests in parallel."""
    python = _development_python()
    os.chdir(_ROOT)
    os.execv(python, [python, "-m", "pytest", *(arguments or _ALL)])


def lint() -> int:
    """Run every check, also after one has failed. Returns 0 when all passed."""
    python = _development_python()
    failed = []
    with tempfile.TemporaryDirectory(prefix="eventhub-lint-") as data:
        environment = {**os.environ, "EVENTHUB_DATA_DIR": data}
        for tool, *arguments in _CHECKS:
            name = " ".join([tool, *arguments])
            print(f"── {name}", flush=True)
            done = subprocess.run(
                [python, *_program(tool), *arguments], cwd=_ROOT, env=environment, check=False
            )
            if done.returncode != 0:
                failed.append(name)
    print(f"── failed: {', '.join(failed)}" if failed else "── all checks passed")
    return 1 if failed else 0


def _program(tool: str) -> list[str]:
    if tool == "manage":
        return ["manage.py"]
    if tool == "lint-imports":
        return ["-c", "from importlinter.cli import lint_imports_command as run; run()"]
    return ["-m", tool]


def _development_python() -> str:
    """The Python of .venv, with everything that tests and checks need; exits with a line that
    says what is wrong."""
    packages = Packages(_ROOT, lambda text: print(text, flush=True))
    try:
        packages.install("requirements.txt", "requirements-dev.txt")
    except Problem as problem:
        sys.exit(str(problem))
    for name in _COMPILED:
        try:
            packages.install(name, compile_from_source=True)
        except Problem as problem:
            # The tests that need it are skipped by name, and fail with EVENTHUB_REQUIRE=all.
            print(f"{name} is left out. {problem}", flush=True)
    return str(packages.python)
