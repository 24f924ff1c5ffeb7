"""The process of a source or of one share of it: connect, observe, come back after every failure,
leave cleanly."""

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait as wait_for_handles
from typing import Any, Final

from django.conf import settings as django_settings
from pydantic import ValidationError

from collectors.depth_sampler import DepthSampler
from collectors.status import FAILED, Reporter, State
from eventhub.brokers.backoff import delay
from eventhub.brokers.contract import Consumer
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.ingestion.pipeline import Pipeline, Settings, Stopped
from eventhub.live.announcer import Announcer
from eventhub.sources.credentials import CredentialsLocked
from eventhub.sources.leases import Holding
from eventhub.sources.models import Source
from eventhub.store.contract import EventWriter, Resume, StoreUnavailable, Superseded
from eventhub.store.engine import open_writer

__all__ = ["collect", "remove_traces", "tune"]

logger = logging.getLogger(__name__)

LONGEST_WAIT: Final = 30.0
"""Seconds between two tries to connect, at most."""
PERSON_WAIT: Final = 60.0
"""Seconds until a permanent failure is tried again: the mend may be made on the broker."""


class Collector:
    def __init__(self, source: Source, share: int, stop: threading.Event) -> None:
        self._source = source
        self._share = share
        self._stop = stop
        self._reporter = Reporter(Holding(source.pk, share))
        self._attempts = 0

    def run(self) -> None:
        """Until told to stop. Raises nothing that waiting can mend."""
        self._reporter.tell(State.STARTING)
        writer = open_writer()
        announcer = Announcer(django_settings.REDIS_URL, self._source.pk)
        try:
            resume = self._resume(writer)
            if resume is not None:
                if self._share == 0:  # what waits on the broker is asked once, not by each share
                    DepthSampler(self._source, self._stop).start()
                self._observe(writer, announcer, resume)
        finally:
            announcer.close()
            writer.close()

    def _resume(self, writer: EventWriter) -> Resume | None:
        attempt = 0
        while not self._stop.is_set():
            try:
                return writer.resume(self._source.pk, self._share, self._source.shares)
            except StoreUnavailable as error:
                attempt += 1
                self._reporter.tell(State.STARTING, f"The store is away: {error}")
                self._stop.wait(delay(attempt, 5.0))
        return None

    def _observe(self, writer: EventWriter, announcer: Announcer, resume: Resume) -> None:
        source = self._source
        pipeline = Pipeline(
            Settings(
                source.pk,
                source.payload_limit,
                source.mode.settles,
                tuple(source.type_path.split(".")) if source.type_path else (),
                self._share,
            ),
            writer,
            announcer,
            resume,
            stopping=self._stop.is_set,
            wait=self._stop.wait,
            on_store_away=self._on_store_away,
        )
        while not self._stop.is_set():
            try:
                self._connection(pipeline)
            except Stopped:
                return
            except Superseded as error:
                logger.warning("%s, share %d: %s", source.name, self._share, error)
                return
            except NotConnected as error:
                self._attempts += 1
                self._rest(State.NOT_CONNECTED, error, delay(self._attempts, LONGEST_WAIT))
            except (PermanentFailure, CredentialsLocked, ValidationError) as error:
                self._attempts += 1
                self._rest(State.FAILED, error, PERSON_WAIT)

    def _connection(self, pipeline: Pipeline) -> None:
        """One connection's life."""
        observation = self._source.observation(
            checkpoint=pipeline.checkpoint, last_seen=pipeline.last_seen, share=self._share
        )
        consumer: Consumer = self._source.adapter.consumer(
            self._source.configuration(), observation
        )
        try:
            consumer.open()
            pipeline.reconnected()
            self._reporter.tell(State.UP)
            while pipeline.holds or not self._stop.is_set():
                received = pipeline.step(consumer)
                self._attempts = 0
                self._reporter.beat(pipeline.stored_within, received)
        finally:
            pipeline.leave()
            consumer.close()

    def _on_store_away(self, reason: str) -> None:
        words = f"The store is away, events wait: {reason}" if reason else ""
        self._reporter.tell(State.UP, words)

    def _rest(self, state: Any, error: Exception, seconds: float) -> None:
        logger.warning("%s: %s", self._source.name, error)
        way_out = error.way_out if isinstance(error, BrokerError) else ""
        self._reporter.tell(
            state, _words(error), way_out=way_out, retry_in=seconds, attempts=self._attempts
        )
        self._stop.wait(seconds)


def collect(holding: Holding) -> None:
    """The main function of a collector's process."""
    stop = _stop_on_signals()
    tune()
    source = Source.objects.get(pk=holding.source_id)
    if holding.share >= source.shares:
        return  # of a moment ago, when there were more
    try:
        Collector(source, holding.share, stop).run()
    except Exception as error:
        logger.exception("%s: the collector failed", source.name)
        Reporter(holding).tell(State.STARTING, FAILED + _words(error))
        raise SystemExit(1) from error


def remove_traces(holding: Holding) -> None:
    """The main function of the process that removes a deleted source from its broker."""
    _stop_on_signals()
    source = Source.objects.get(pk=holding.source_id)
    try:
        source.adapter.remove_traces(source.configuration(), source.observation())
    except (BrokerError, CredentialsLocked, ValidationError) as error:
        logger.warning("%s: its queue on the broker is not removed: %s", source.name, error)
        raise SystemExit(1) from error


def tune() -> None:
    """Make two threads and many short-lived objects cheap.

    Measured with Kafka on two cores, a batch of 1,000. With Python's 5 ms the thread that commits
    waited 17 to 24 ms in its first statements for the one that receives, and 2 to 3 with this.
    Looking for cycles among the objects of each batch, of which there are none, took a fifth of
    the time of translating it.
    """
    sys.setswitchinterval(0.0001)
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"The configuration is not valid: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error) or type(error).__name__


def _stop_on_signals() -> threading.Event:
    """An event set by SIGTERM and SIGINT, and when the supervisor is gone, however it went."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait_for_handles([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
    return stop
