"""`manage.py collect`: run the collectors of all sources that should run."""

import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from collectors.supervisor import Supervisor
from eventhub.sources.leases import host_name

TICK = 0.5
"""Seconds: a change of a source is noticed well within two."""


class Command(BaseCommand):
    help = (
        "Run one collector process for each source, or share of one, that should run, until"
        " SIGTERM or SIGINT."
        " Sources that are added, changed, stopped or deleted meanwhile are noticed. On several"
        " hosts with one database, the hosts share the sources."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with host_name(Path(settings.DATA_DIR)) as name:
            supervisor = Supervisor(name)
            try:
                while not stop.is_set():
                    supervisor.tick()
                    stop.wait(TICK)
            finally:
                supervisor.stop()
