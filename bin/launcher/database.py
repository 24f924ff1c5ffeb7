"""The databases' tables, brought up to date before anything starts."""

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from launcher.problem import Problem

__all__ = ["need_tables"]

_MIGRATE: Final = Path(__file__).with_name("migrate.py")


def need_tables(root: Path, data: Path, python: Path, environment: Mapping[str, str]) -> bool:
    """Migrate, unless the SQLite files are there and were migrated with the same code. Returns
    whether there was something to do. Raises Problem with the last line of what went wrong.

    A server's database is always asked: it can be replaced behind our back.
    """
    stamp = data / "migrations.stamp"
    digest = _digest(root)
    on_sqlite = not environment.get("DATABASE_URL")
    files = [data / "eventhub.sqlite3", data / "events.sqlite3"]
    if on_sqlite and all(file.exists() for file in files) and _read(stamp) == digest:
        return False
    done = subprocess.run(
        [str(python), str(_MIGRATE)],
        env=dict(environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise Problem(f"The database cannot be brought up to date: {last[0]}")
    stamp.write_text(digest)
    return True


def _digest(root: Path) -> str:
    """Of all migrations: ours by their content, those of packages by the pinned versions."""
    digest = hashlib.sha256((root / "requirements.txt").read_bytes())
    for path in sorted(root.glob("eventhub/**/migrations/*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
