"""What the tests say about a broker, a database or a browser that this machine lacks."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_IS_AWAY = (
    "import sys, pytest; from tests.servers import postgres;"
    " postgres.missing = lambda: 'initdb was not found';"
    " sys.exit(pytest.main(['-p', 'no:cacheprovider', 'tests/test_servers.py', '-k', 'postgres']))"
)


def run_without_postgres(require: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", POSTGRES_IS_AWAY],
        cwd=ROOT,
        env={**os.environ, "EVENTHUB_REQUIRE": require},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_skipped_by_name_and_reason_in_the_last_lines() -> None:
    done = run_without_postgres()
    assert done.returncode == 0, done.stdout
    told, closing = done.stdout.splitlines()[-2:]
    assert told == "1 skipped: PostgreSQL: initdb was not found"
    assert "1 skipped" in closing


def test_it_is_a_failure_where_everything_is_required() -> None:
    done = run_without_postgres(require="all")
    assert done.returncode == 1, done.stdout
    assert "PostgreSQL is not on this machine: initdb was not found" in done.stdout
