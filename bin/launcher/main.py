"""The command line of `bin/run`."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from launcher.data_folder import DataFolder
from launcher.packages import Packages
from launcher.ports import HOST, need_port
from launcher.problem import Problem
from launcher.run import Run

__all__ = ["main"]

_ROOT: Final = Path(__file__).resolve().parent.parent.parent


def main(arguments: Sequence[str]) -> int:
    """Run until Ctrl-C or SIGTERM. Returns the exit code: 0 after being stopped, 1 after a line
    that says what is wrong."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        _run(options)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    folder = DataFolder(Path(os.environ.get("EVENTHUB_DATA_DIR") or _ROOT / "var"))
    folder.lock(f"http://{HOST}:{options.port}")
    need_port(options.port)
    if options.reset:
        _reset(folder)
    packages = Packages(_ROOT, _say)
    packages.install("requirements.txt")
    Run(
        root=_ROOT,
        folder=folder,
        python=packages.python,
        port=options.port,
        demo=not options.no_demo,
        demo_rabbitmq=options.demo_rabbitmq,
    ).go()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, flush=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/run",
        description="Run EventHub from this checkout, with a demo to look at. Ctrl-C stops it.",
        epilog="EVENTHUB_DATA_DIR names the folder of its data (default: var). docs/settings.md"
        " lists all settings.",
    )
    parser.add_argument("--port", type=_port, default=8000, help="of the page (default: 8000)")
    parser.add_argument("--no-demo", action="store_true", help="run without the demo")
    parser.add_argument(
        "--demo-rabbitmq", metavar="URL", help="let the demo use this RabbitMQ too (amqp://…)"
    )
    parser.add_argument("--reset", action="store_true", help="first delete all data, after asking")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535")
    return int(text)


def _reset(folder: DataFolder) -> None:
    """Delete the data after a clear yes. Raises Problem without one."""
    if os.environ.get("DATABASE_URL"):
        raise Problem("--reset deletes files. The database in DATABASE_URL is yours to empty.")
    found = folder.made_by_eventhub()
    if not found:
        return
    _say(f"This deletes all events, sources, people and keys in {folder.path}:")
    _say("  " + "  ".join(path.name for path in found))
    try:
        answer = input("Type yes to delete them: ")
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise Problem("Nothing was deleted.")
    folder.clear()
