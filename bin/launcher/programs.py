"""Which processes make up EventHub, and how each is started."""

from pathlib import Path
from typing import NamedTuple

from launcher.ports import HOST

__all__ = ["Program", "collectors", "demo", "page", "tasks"]


class Program(NamedTuple):
    label: str
    command: list[str]
    may_end: bool = False


def page(python: Path, port: int) -> Program:
    """Pages and websockets."""
    # A browser that is gone without closing its socket is noticed after 15 s, not after 50, by
    # when Daphne has been seen to buffer 200 MB for it.
    command = [
        *(str(python), "-m", "daphne", "--verbosity", "0", "--bind", HOST, "--port", str(port)),
        *("--ping-interval", "5", "--ping-timeout", "10", "eventhub.asgi:application"),
    ]
    return Program("web", command)


def collectors(python: Path) -> Program:
    """The supervisor of all sources."""
    return Program("collect", [str(python), "manage.py", "collect"])


def demo(python: Path, rabbitmq_url: str | None) -> Program:
    """The city, which ends when a person has removed its sources. It takes Redis from REDIS_URL,
    whose password would be seen by everybody on its command line."""
    command = [str(python), "manage.py", "demo", "--create-sources"]
    if rabbitmq_url is not None:
        command += ["--rabbitmq", rabbitmq_url]
    return Program("demo", command, may_end=True)


def tasks(python: Path) -> list[Program]:
    """Celery's worker, and the schedule as a process of its own: inside the worker it has been
    seen to outlive it."""
    celery = [str(python), "-m", "celery", "--quiet", "--app", "eventhub"]
    worker = [
        *("worker", "--concurrency", "2", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    beat = ["beat", "--loglevel", "WARNING", "--pidfile="]
    return [Program("tasks", [*celery, *worker]), Program("schedule", [*celery, *beat])]
