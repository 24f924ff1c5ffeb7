"""The rules of the house: what holds for every part, held by a test."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("eventhub", "collectors", "dashboard", "bin")
SETTING = re.compile(r"\b(EVENTHUB_[A-Z_]+|DATABASE_URL|REDIS_URL|NO_COLOR)\b")


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def modules() -> Iterator[Path]:
    for part in PARTS:
        yield from (ROOT / part).rglob("*.py")


def test_the_import_rule_holds() -> None:
    run = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-c", run, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_no_folder_is_empty() -> None:
    filled = set()
    folders = set()
    for path in tracked_files():
        above = [folder for folder in path.parents if folder.is_relative_to(ROOT)]
        folders.update(above)
        if path.stat().st_size:
            filled.update(above)
    # Django asks for the packages around a command and around migrations to be empty files.
    assert sorted(str(folder.relative_to(ROOT)) for folder in folders - filled) == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "common", "core", "helpers", "helper", "services", "managers"}
    assert [str(path) for path in modules() if {path.stem, path.parent.name} & drawers] == []


def test_no_module_has_more_than_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in modules()}
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    servers = (ROOT / "tests" / "brokers").glob("*/server.py")
    sources = [*modules(), *servers, ROOT / "tests/conftest.py", ROOT / "bin/install-brokers"]
    used = {name for path in sources for name in SETTING.findall(path.read_text())}
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(used)
    assert len(rows) == len(set(rows))


def test_the_two_dark_themes_are_the_same() -> None:
    """Written twice because a chart reads plain values; the stylesheet says why."""
    text = (ROOT / "static/css/tokens.css").read_text()
    by_system = re.search(r"@media \(prefers-color-scheme: dark\) \{\s*[^{]+\{(.*?)\}", text, re.S)
    by_choice = re.search(r":root\[data-theme=\"dark\"\] \{(.*?)\}", text, re.S)
    assert by_system is not None
    assert by_choice is not None
    found = [
        re.findall(r"(--[\w-]+|color-scheme)\s*:\s*([^;]+);", block[1])
        for block in (by_system, by_choice)
    ]
    assert len(found[0]) > 20
    assert found[0] == found[1]


def test_django_finds_nothing_to_complain_about() -> None:
    call_command("check", fail_level="WARNING")


def test_django_finds_nothing_to_complain_about_in_production(tmp_path: Path) -> None:
    production = {
        "EVENTHUB_DATA_DIR": str(tmp_path),
        "EVENTHUB_HTTPS": "1",
        "EVENTHUB_ALLOWED_HOSTS": "events.example.com",
    }
    # For the browser's driver, in tests alone: `tests/conftest.py`.
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=inherited | production,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_template_can_be_read() -> None:
    names = [path.relative_to(ROOT / "templates") for path in (ROOT / "templates").rglob("*.html")]
    assert names
    for name in names:
        get_template(str(name))


@pytest.mark.parametrize("version", [(3, 6), (3, 10)])
@pytest.mark.parametrize("script", ["run", "test", "lint"])
def test_an_old_python_is_told_that_it_is_old(script: str, version: tuple[int, int]) -> None:
    """The real old interpreters are not here: their grammar is checked, and their answer asked."""
    import ast

    source = (ROOT / "bin" / script).read_text()
    ast.parse(source, feature_version=version)
    pretend = f"import sys; sys.version_info = {(*version, 0)}; exec({source!r})"
    done = subprocess.run(
        [sys.executable, "-c", pretend], capture_output=True, text=True, check=False
    )
    told = f"Python 3.11 or later is needed; this is {version[0]}.{version[1]}.\n"
    assert (done.returncode, done.stderr) == (1, told)
