"""The parts of a collector in this process, as `collectors.collector` puts them together."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings

from collectors.collector import tune
from eventhub.brokers.contract import Observation, StartFrom
from eventhub.brokers.registry import adapter
from eventhub.ingestion.pipeline import Pipeline, Settings
from eventhub.live.announcer import Announcer
from eventhub.store.contract import Resume, StoreUnavailable
from eventhub.store.engine import open_writer, writer_command

__all__ = ["Collection", "event_writer"]


class Collection:
    """`number` tells runs apart: each is a source of its own, with tables of its own."""

    def __init__(self, kind: str, number: int, config: dict[str, Any], start: str = "now") -> None:
        tune()
        source_id = number + 1
        found = adapter(kind)
        self.consumer = found.consumer(
            found.config.model_validate(config),
            Observation(source_id, f"run{number}", "bench", start=StartFrom(start)),
        )
        self.writer = open_writer()
        self.announcer = Announcer(settings.REDIS_URL, source_id)
        self.pipeline = Pipeline(
            Settings(source_id, 1 << 20, found.capabilities.mode(config.get("mode")).settles),
            self.writer,
            self.announcer,
            Resume(),
            stopping=lambda: False,
            wait=time.sleep,
            on_store_away=lambda reason: print(reason, file=sys.stderr),
        )

    def glance(self) -> None:
        """Open and close: what is to observe is there from now on."""
        self.consumer.open()
        self.consumer.close()

    def step(self) -> int:
        return self.pipeline.step(self.consumer)

    def close(self) -> None:
        self.pipeline.leave()
        self.consumer.close()
        self.announcer.close()
        self.writer.close()


@contextlib.contextmanager
def event_writer() -> Iterator[None]:
    """The store's own process, where it has one, for as long as the block lasts."""
    command = writer_command()
    if command is None:
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command], stdin=subprocess.PIPE, stdout=sys.stderr
    )
    try:
        _retry(lambda: open_writer().resume(0))
        yield
    finally:
        process.terminate()
        process.wait()


def _retry(attempt: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            attempt()
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
