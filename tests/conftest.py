"""What every test can ask for: a data folder of its own, real servers, a real browser."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

# Before anything loads Django: each pytest process works in a folder of its own, away from the
# developer's data, and knows no Redis until a test starts one.
DATA_DIR = Path(tempfile.mkdtemp(prefix="eventhub-tests-"))
os.environ["EVENTHUB_DATA_DIR"] = str(DATA_DIR)
os.environ["DJANGO_SETTINGS_MODULE"] = "eventhub.settings"
os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"
# The browser's driver keeps an event loop in the thread of the test, which Django takes for
# asynchronous code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

import django  # noqa: E402
import pytest  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NOT_HERE = "not on this machine: "
_CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")


def pytest_configure() -> None:
    django.setup()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Parallel workers inherit the environment: with a settings module in it they would load the
    settings, and so this process's data folder, before they get here and make their own."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_unconfigure() -> None:
    shutil.rmtree(DATA_DIR, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """After everything else, name what was not tested because this machine does not have it."""
    yield
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if _NOT_HERE in reason:
            reason = reason.split(_NOT_HERE, 1)[1]
            reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        terminalreporter.section("not tested here")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count} skipped: {reason}")
    _tell_brokers(terminalreporter)


def _tell_brokers(terminalreporter: Any) -> None:
    """A table of the brokers: what ran against which server, stand-ins named."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, broker in getattr(report, "user_properties", []):
                if name == "broker":
                    counts.setdefault(tuple(broker), Counter())[outcome] += 1
    if counts:
        terminalreporter.section("brokers")
    for (kind, server), outcomes in sorted(counts.items()):
        told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        terminalreporter.line(f"{kind:<20} {server:<44} {told}")


def require(name: str, missing: str | None) -> None:
    """Skip when `missing` gives a reason; fail instead with EVENTHUB_REQUIRE=all."""
    if missing is None:
        return
    if os.environ.get("EVENTHUB_REQUIRE") == "all":
        pytest.fail(f"EVENTHUB_REQUIRE=all, and {name} is {_NOT_HERE}{missing}", pytrace=False)
    pytest.skip(f"{_NOT_HERE}{name}: {missing}")


def _server(name: str, module: str) -> ModuleType:
    """The module that starts it; skips or fails when its programs are away."""
    servers = import_module(module)
    require(name, servers.missing())
    return servers


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """SQLite's test databases are the files that a process started by a test opens too."""
    from django.conf import settings

    for database in settings.DATABASES.values():
        if database["ENGINE"].endswith("sqlite3"):
            database["TEST"]["NAME"] = str(database["NAME"])


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Any]:
    """A started `tests.brokers.redis_pubsub.server` server."""
    with _server("Redis", "tests.brokers.redis_pubsub.server").running() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Any]:
    """A started `tests.brokers.rabbitmq.server` server."""
    with _server("RabbitMQ", "tests.brokers.rabbitmq.server").running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A started `tests.servers.postgres` server. A test makes databases of its own in it."""
    with _server("PostgreSQL", "tests.servers.postgres").running() as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium. While it is open no asynchronous code can run in the tests' own thread, hence
    a browser a module and not one a session."""
    from playwright.sync_api import sync_playwright

    program = next((path for path in _CHROMIUM if Path(path).exists()), None)
    missing = None if program else "no chromium (bin/install-brokers installs it)"
    require("a browser", missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield chromium
        chromium.close()
