"""`manage.py demo`: a small city of services at work, to have something to look at."""

import argparse
import logging
import secrets
import signal
import sys
import threading
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connection

from collectors.demo import sources
from collectors.demo.bus import OpenBus
from collectors.demo.city import SCENARIOS, City
from collectors.demo.rabbitmq_bus import RabbitMQBus
from collectors.demo.redis_bus import RedisBus
from eventhub.sources.changes import ChangeRefused

logger = logging.getLogger(__name__)

LOOK_AROUND: Final = 2.0
"""Seconds between two looks at the sources."""
ON_RABBITMQ: Final = frozenset({"shop", "payments"})


class Command(BaseCommand):
    help = (
        "Run a small city of made-up services over a real Redis (and RabbitMQ): a shop, stock"
        " ticks, chat, sensors, card payments with their logs. Ends on SIGTERM or SIGINT, and with"
        " --create-sources when all demo sources have been removed."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--seed", type=int, help="same seed, same events (default: another one each time)"
        )
        parser.add_argument(
            "--rate", type=_positive, default=40.0, help="events a second over all (default: 40)"
        )
        parser.add_argument(
            "--redis", metavar="URL", default=settings.REDIS_URL, help="default: REDIS_URL"
        )
        parser.add_argument(
            "--rabbitmq", metavar="URL", help="let the shop and the payments run over this RabbitMQ"
        )
        parser.add_argument(
            "--create-sources", action="store_true", help="let EventHub observe the city"
        )
        parser.add_argument(
            "--stop-and-delete",
            action="store_true",
            help="remove the demo's sources and their events, and do nothing else",
        )
        parser.add_argument(
            "--exit-with-parent", action="store_true", help="end when standard input is closed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["stop_and_delete"]:
            names = sources.delete_all()
            self.stdout.write(f"Being removed: {', '.join(names) or 'nothing, there were none'}.")
            return
        stop = _stop_on_signals(with_parent=options["exit_with_parent"])
        city = _city(options, stop)
        city.start()
        try:
            if options["create_sources"]:
                self._observe(stop, options["redis"], options["rabbitmq"])
            else:
                stop.wait()
        finally:
            city.stop()

    def _observe(self, stop: threading.Event, redis_url: str, rabbitmq_url: str | None) -> None:
        """Keep the sources there until told to stop, or until somebody has removed them all."""
        missing = sources.wanted(redis_url, rabbitmq_url, ON_RABBITMQ)
        while not stop.is_set():
            try:
                missing = [source for source in missing if not sources.ensure(source)]
                if not missing and not sources.any_left():
                    self.stdout.write("All sources of the demo have been removed, so it ends.")
                    return
            except ChangeRefused as error:
                raise CommandError(f"The sources of the demo cannot be made: {error}") from error
            except DatabaseError as error:
                logger.warning("The sources cannot be read now: %s", error)
                connection.close()
            stop.wait(LOOK_AROUND)


def _city(options: dict[str, Any], stop: threading.Event) -> City:
    on_redis: OpenBus = partial(RedisBus, options["redis"])
    buses = {scenario.name: on_redis for scenario in SCENARIOS}
    if options["rabbitmq"]:
        buses |= dict.fromkeys(ON_RABBITMQ, partial(RabbitMQBus, options["rabbitmq"]))
    seed = secrets.randbelow(1_000_000) if options["seed"] is None else options["seed"]
    logger.info("The city is at work; --seed %d makes the same events again.", seed)
    return City(buses, stop, seed=seed, rate=options["rate"])


def _stop_on_signals(*, with_parent: bool) -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def watch() -> None:
        while sys.stdin.buffer.read(4096):
            continue
        stop.set()

    if with_parent:
        threading.Thread(target=watch, daemon=True, name="parent-watch").start()
    return stop


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100_000:
        raise argparse.ArgumentTypeError("give more than 0 and at most 100000")
    return value
