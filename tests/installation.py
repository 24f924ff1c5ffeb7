"""An EventHub of a test's own: a data folder, its database, and the real commands."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.process import Process

__all__ = ["Installation"]


class Installation:
    """Runs `manage.py` against a folder and, if `database_url` is given, PostgreSQL."""

    root = Path(__file__).resolve().parent.parent
    python = (sys.executable,)

    def __init__(self, folder: Path, redis_url: str, database_url: str | None = None) -> None:
        self.folder = folder
        self._database_url = database_url
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "DJANGO_ALLOW_ASYNC_UNSAFE"}
        } | {"EVENTHUB_DATA_DIR": str(folder), "REDIS_URL": redis_url}
        if database_url is not None:
            self.environment["DATABASE_URL"] = database_url
        self.manage("migrate", "--verbosity=0")
        if database_url is None:
            self.manage("migrate", "--verbosity=0", "--database=events")

    def manage(self, *words: str, input: str | None = None) -> str:
        """The output of a command. Raises CalledProcessError with its errors shown."""
        done = subprocess.run(
            self.command(*words),
            env=self.environment,
            cwd=self.root,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *words: str) -> list[str]:
        return [*self.python, str(self.root / "manage.py"), *words]

    def ask(self, code: str) -> Any:
        """What Python code, run inside this installation, assigns to `answer` (as JSON)."""
        script = f"import json\n{code}\nprint('\\n' + json.dumps(answer))"
        return json.loads(self.manage("shell", "--no-imports", "-c", script).splitlines()[-1])

    def add_source(self, name: str, kind: str, **config: Any) -> int:
        """Add a running source; its id."""
        added: int = self.ask(
            f"from eventhub.sources.models import Source\n"
            f"from eventhub.brokers.registry import adapter\n"
            f"source = Source(name={name!r}, kind={kind!r}, desired='running')\n"
            f"source.configure(adapter({kind!r}).config.model_validate({config!r}))\n"
            f"source.save()\n"
            f"answer = source.pk"
        )
        return added

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a SELECT finds, in whichever database has its tables; quicker than `ask`."""
        if self._database_url is not None:
            with psycopg.connect(self._database_url) as connection:
                return list(connection.execute(sql).fetchall())
        name = "eventhub" if "sources_" in sql else "events"
        with closing(sqlite3.connect(self.folder / f"{name}.sqlite3", timeout=10)) as file:
            return file.execute(sql).fetchall()

    def state(self, source_id: int) -> str:
        """What the collector of a source says of itself; empty before it said anything."""
        found = self.rows(
            f"SELECT state FROM sources_collectorstatus WHERE source_id = {source_id}"
        )
        return str(found[0][0]) if found else ""

    def events(self) -> int:
        """How many events are stored."""
        return int(self.rows("SELECT count(*) FROM events")[0][0])

    def change(self, source_id: int, **values: Any) -> None:
        """Set fields of a source, as the Sources page would, and raise its revision."""
        self.ask(
            "from django.db.models import F\n"
            "from eventhub.sources.models import Source\n"
            f"answer = Source.objects.filter(pk={source_id})"
            f".update(revision=F('revision') + 1, **{values!r})"
        )

    def collect(self) -> Process:
        """The supervisor with its children, started; `kill()` ends the whole group at once."""
        process = Process(
            self.command("collect"),
            log=self.folder / "collect.log",
            ready=lambda: True,
            env=self.environment,
            cwd=self.root,
        )
        process.start()
        return process
