"""Keeps one process for each source, or share of one, that this host holds, and on SQLite the one
process that writes events."""

import logging
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from django.conf import settings
from django.db import Error, connection

from collectors.collector import collect, remove_traces
from collectors.process import GRACE, SourceProcess
from collectors.status import Reporter, State
from eventhub.brokers.backoff import delay
from eventhub.sources.leases import Holding, Leases
from eventhub.sources.models import Source
from eventhub.store.engine import writer_command

__all__ = ["Supervisor"]

logger = logging.getLogger(__name__)

REMOVAL_TRIES: Final = 4
"""A broker that is gone for good does not keep a source from being deleted: the tap expires."""
Desired = Source.Desired


class Wanted(NamedTuple):
    """What a person wants of a source; another one means another process."""

    revision: int
    desired: str
    shares: int


class Supervisor:
    """`tick()` brings the processes in line with the sources; call it twice a second."""

    def __init__(self, host: str) -> None:
        """`host` is the name under which it holds leases (`eventhub.sources.leases`)."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["collectors.preload"])
        self._processes: dict[Holding, tuple[Wanted, SourceProcess]] = {}
        self._writer = WriterProcess(writer_command())
        self._leases = Leases(host)
        self._seen: set[Holding] = set()
        """What should run, as the last tick found it."""

    def tick(self) -> None:
        """Never raises for a database that is away: what runs goes on."""
        self._writer.keep()
        try:
            wanted = dict(_all_wanted())
            self._keep_leases(wanted)
            for holding in wanted.keys() | self._processes.keys():
                self._align(holding, wanted.get(holding))
        except Error as error:
            logger.warning("The sources cannot be read: %s", error)
            connection.close()
            self._leases.lapse()
            for holding in self._processes.keys() - self._leases.held:
                self._processes[holding][1].ask_to_stop()

    def stop(self) -> None:
        """Stop every source, then the writer that they settle on."""
        processes = [process for _, process in self._processes.values()]
        for process in processes:
            process.ask_to_stop()
        deadline = time.monotonic() + GRACE
        for process in processes:
            process.join(deadline)
        self._writer.stop()
        try:
            self._leases.leave()
        except Error as error:
            logger.warning("The leases of this host are left to expire: %s", error)

    def _keep_leases(self, wanted: Mapping[Holding, Wanted]) -> None:
        active = {key for key, each in wanted.items() if each.desired != Desired.STOPPED}
        # A source that somebody has just started does not wait for the next renewal.
        if self._leases.due or active - self._seen:
            self._leases.keep(active, self._processes.keys())
        self._seen = active

    def _align(self, holding: Holding, wanted: Wanted | None) -> None:
        running_for, process = self._processes.get(holding, (None, None))
        held = holding in self._leases.held
        changed = running_for != wanted or not held
        if process is not None and (changed or _left(wanted, process)):
            if process.running:
                process.ask_to_stop()
                return
            del self._processes[holding]
            process = None
            if wanted is not None and wanted.desired == Desired.STOPPED:
                Reporter(holding).tell(State.STOPPED)
        if wanted is None or wanted.desired == Desired.STOPPED or not held:
            return
        if process is None:
            process = self._new_process(holding, wanted)
        process.keep()
        if wanted.desired == Desired.DELETED and (
            process.finished or process.failures >= REMOVAL_TRIES
        ):
            Source.objects.filter(pk=holding.source_id, desired=Desired.DELETED).delete()

    def _new_process(self, holding: Holding, wanted: Wanted) -> SourceProcess:
        def on_failure(words: str, seconds: float, failures: int) -> None:
            logger.warning("%s: %s Again in %.1f s.", holding, words, seconds)
            Reporter(holding).note_crash(words, retry_in=seconds, attempts=failures)

        process = SourceProcess(
            self._context,
            collect if wanted.desired == Desired.RUNNING else remove_traces,
            holding,
            on_failure=on_failure,
        )
        self._processes[holding] = wanted, process
        return process


def _all_wanted() -> Iterator[tuple[Holding, Wanted]]:
    """What a person wants of each source, for each of its shares; a deleted one's traces on the
    broker are removed once."""
    sources = Source.objects.values_list("pk", "revision", "desired", "shares")
    for pk, revision, desired, shares in sources:
        for share in range(1 if desired == Desired.DELETED else shares):
            yield Holding(pk, share), Wanted(revision, desired, shares)


def _left(wanted: Wanted | None, process: SourceProcess) -> bool:
    """A collector that somebody else told to stop, and that should run."""
    return process.finished and wanted is not None and wanted.desired == Desired.RUNNING


class WriterProcess:
    """The store's own process, where the store needs one."""

    def __init__(self, command: list[str] | None) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._retry_at = 0.0

    def keep(self) -> None:
        """Start it if it is not there and its time has come."""
        if self._command is None or time.monotonic() < self._retry_at:
            return
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._process = None
            self._failures += 1
            seconds = delay(self._failures, 5.0)
            self._retry_at = time.monotonic() + seconds
            logger.error("The event writer ended (%d). Again in %.1f s.", code, seconds)
            return
        self._process = subprocess.Popen(  # noqa: S603  (our own command)
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *self._command],
            stdin=subprocess.PIPE,
            # Ctrl-C in a terminal reaches the collectors only: they settle on the writer's answer.
            start_new_session=True,
        )

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
