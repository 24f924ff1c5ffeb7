"""`manage.py write_events`: on SQLite, the one process that writes events."""

import signal
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventhub.store.engine import writer_command
from eventhub.store.relational.sqlite.server import AlreadyRunning, WriterLock, WriterServer
from eventhub.store.relational.sqlite.wire import lock_path


class Command(BaseCommand):
    help = (
        "Write what the collectors receive into the SQLite database, until SIGTERM or SIGINT."
        " `manage.py collect` starts it where it is needed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--exit-with-parent",
            action="store_true",
            help="End when standard input ends, as it does when the process behind it is gone.",
        )

    def handle(self, *args: Any, exit_with_parent: bool, **options: Any) -> None:
        if writer_command() is None:
            raise CommandError("PostgreSQL needs no such process: each collector writes itself.")
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        # Ctrl-C in a terminal reaches this process as well as its parent, whose collectors still
        # have a batch to hand in.
        interrupt = signal.SIG_IGN if exit_with_parent else lambda *_: stop.set()
        signal.signal(signal.SIGINT, interrupt)
        alias = settings.EVENTS_DATABASE
        watch = sys.stdin.fileno() if exit_with_parent else None
        try:
            with WriterLock(lock_path(alias)):
                WriterServer(alias, stop.is_set, watch=watch).serve()
        except AlreadyRunning as error:
            raise CommandError(str(error)) from None
