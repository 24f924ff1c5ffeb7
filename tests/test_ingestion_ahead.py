"""Where nothing is settled, the next batch is received while the last one is committed."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from eventhub.brokers.contract import Consumer, Received
from eventhub.brokers.errors import NotConnected
from eventhub.ingestion.pipeline import BATCH
from tests.pipelines import Setting
from tests.stores import events_database


@pytest.fixture
def log(tmp_path: Path, django_db_blocker: Any) -> Iterator[Setting]:
    """Nothing is settled: the checkpoint says all."""
    file = {**settings.DATABASES["default"], "NAME": tmp_path / "events.sqlite3"}
    with django_db_blocker.unblock(), events_database(f"pipeline-{tmp_path.name}", **file) as alias:
        yield Setting(alias, positions=True, settles=False)


class Ahead:
    """A consumer that notes what is done with it, and whose connection can be lost."""

    def __init__(self, inner: Consumer) -> None:
        self._inner = inner
        self.received = threading.Semaphore(0)
        self.lost = False
        self.clashes: list[bool] = []
        """For each `keep_alive`, whether it came in the middle of a receive."""
        self._receiving = threading.Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._inner, name)
        return method

    def receive(self, max_messages: int, max_wait: float) -> Received:
        if self.lost:
            raise NotConnected("The connection was lost.")
        with self._receiving:
            received = self._inner.receive(max_messages, max_wait)
        self.received.release()
        return received

    def keep_alive(self) -> None:
        self.clashes.append(self._receiving.locked())


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def ahead(log: Setting) -> Ahead:
    log.consumer = consumer = Ahead(log.consumer)
    return consumer


def test_the_next_batch_is_received_while_the_store_commits(log: Setting) -> None:
    consumer = ahead(log)
    log.publish(*numbers(2 * BATCH + 5))
    seen: list[bool] = []
    log.store.before_commit = lambda: seen.append(
        consumer.received.acquire(timeout=20) and consumer.received.acquire(timeout=20)
    )
    assert log.step() == BATCH
    log.store.before_commit = lambda: None
    assert seen == [True], "its own batch and the next one"
    assert log.pipeline.holds
    assert [log.step(), log.step()] == [BATCH, 5]
    assert not log.pipeline.holds
    assert log.payloads() == numbers(2 * BATCH + 5)
    assert [event.payload for event in log.announced.events] == log.payloads()


def test_what_a_lost_connection_had_given_ahead_is_read_again(log: Setting) -> None:
    consumer = ahead(log)
    log.publish(*numbers(2 * BATCH))
    log.step()
    assert log.pipeline.holds
    consumer.lost = True
    assert log.step() == BATCH, "it came before the connection was lost"
    with pytest.raises(NotConnected):
        log.step()
    log.publish(*numbers(BATCH))
    log.connect()
    log.step()
    log.pipeline.leave()
    log.start()
    log.step()
    assert log.payloads() == [*numbers(2 * BATCH), *numbers(BATCH)]


def test_a_collector_that_crashes_stores_once_what_it_had_ahead(log: Setting) -> None:
    log.publish(*numbers(2 * BATCH))
    log.step()
    assert log.pipeline.holds
    log.pipeline.leave()
    log.start()
    assert [log.step(), log.step()] == [BATCH, 0]
    assert log.payloads() == numbers(2 * BATCH)


def test_a_stop_takes_in_what_was_received_and_receives_no_more(log: Setting) -> None:
    log.publish(*numbers(3 * BATCH))
    log.step()
    log.stopping = True
    assert log.pipeline.holds
    log.step()
    assert not log.pipeline.holds
    assert log.payloads() == numbers(2 * BATCH)


def test_a_store_that_is_away_keeps_the_connection_alive_only_between_receives(
    log: Setting,
) -> None:
    consumer = ahead(log)
    log.publish(*numbers(BATCH))
    log.store.fails = 3
    log.step()
    assert consumer.clashes == [False] * 3
    assert log.payloads() == numbers(BATCH)
