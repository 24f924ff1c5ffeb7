"""Receives in threads of its own and reads ahead, up to a bound.

A long poll takes whole seconds, and a request brings ten messages at most: waiting in `receive`
itself would be slow to answer, and slow.
"""

import threading
import time
from collections import deque
from typing import Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from collectors.sqs.config import SQSConfig
from collectors.sqs.queues import TEN, is_fifo, name_of, no_queue
from collectors.sqs.refusals import MISSING, code_of, refusal
from collectors.sqs.translate import Place
from eventhub.brokers.errors import BrokerError, NotConnected

__all__ = ["Poller", "Queue", "Taken"]

_READ_AHEAD: Final = 2_000
"""Messages that wait for `receive`; the requests under way may bring a few more."""
_READ_AHEAD_CHARACTERS: Final = 64 * 1024 * 1024
_BUSY_WAIT: Final = 1
"""Seconds of long poll of the other receivers: a short poll asks only some of SQS's servers
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html)."""
_PAUSE: Final = 0.1
"""Seconds between two requests that do not wait themselves."""


class Queue(msgspec.Struct, frozen=True):
    """One to receive from."""

    url: str
    place: Place


class Taken(msgspec.Struct):
    """A message that is ours until `until` (monotonic seconds)."""

    queue: Queue
    message: dict[str, Any]
    until: float


class Poller:
    """One thread for each queue always asks; the others help while requests come back full."""

    def __init__(self, sqs: Any, queues: list[Queue], config: SQSConfig) -> None:
        self._sqs = sqs
        self._config = config
        self._taken: deque[Taken] = deque()
        self._characters = 0
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._failure: BrokerError | None = None
        self._threads = [self._thread(queue, threading.Event()) for queue in queues]

    def start(self) -> None:
        for thread in list(self._threads):
            thread.start()

    def take(self, most: int, seconds: float) -> list[Taken]:
        """What has come, waiting for a first one. Raises what ended the receiving, once all that
        came before is taken."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._taken:
                if self._failure is not None:
                    raise self._failure
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(left)
            taken = [self._taken.popleft() for _ in range(min(most, len(self._taken)))]
            self._characters -= sum(len(each.message["Body"]) for each in taken)
            self._changed.notify_all()
        return taken

    def held(self) -> list[Taken]:
        """What was read ahead."""
        with self._changed:
            return list(self._taken)

    def stop(self) -> None:
        """Returns when no request is under way: what one brings afterwards would be hidden from
        everybody until its visibility timeout."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _thread(self, queue: Queue, busy: threading.Event, *, helps: bool = False) -> Any:
        return threading.Thread(
            target=self._help if helps else self._lead,
            args=(queue, busy),
            name=f"receive from {name_of(queue.url)}",
            daemon=True,
        )

    def _lead(self, queue: Queue, busy: threading.Event) -> None:
        alone = True
        while self._room():
            count = self._receive(queue, self._config.wait_seconds)
            if count < TEN:
                if not self._config.wait_seconds:
                    self._stopped.wait(_PAUSE)
                continue
            busy.set()
            if alone and not is_fifo(queue.url):  # several would mix up a FIFO queue's order
                alone = False
                for _ in range(self._config.receivers - 1):
                    thread = self._thread(queue, busy, helps=True)
                    self._threads.append(thread)
                    thread.start()

    def _help(self, queue: Queue, busy: threading.Event) -> None:
        while self._room():
            if not busy.wait(0.1):
                continue
            if not self._receive(queue, _BUSY_WAIT):
                busy.clear()

    def _room(self) -> bool:
        """Wait until there is room; whether to go on."""

        def go_on() -> bool:
            full = len(self._taken) >= _READ_AHEAD or self._characters >= _READ_AHEAD_CHARACTERS
            return self._stopped.is_set() or self._failure is not None or not full

        with self._changed:
            self._changed.wait_for(go_on)
            return not self._stopped.is_set() and self._failure is None

    def _receive(self, queue: Queue, seconds: int) -> int:
        try:
            return self._ask(queue, seconds)
        except BrokerError as problem:
            failure = problem
        except Exception as problem:  # a thread that ends without a word would be a silent loss
            failure = NotConnected(f"Receiving failed: {type(problem).__name__}: {problem}")
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()
        return 0

    def _ask(self, queue: Queue, seconds: int) -> int:
        asked = time.monotonic()
        try:
            answer = self._sqs.receive_message(
                QueueUrl=queue.url,
                MaxNumberOfMessages=TEN,
                WaitTimeSeconds=seconds,
                VisibilityTimeout=self._config.visibility_seconds,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError) as error:
            if code_of(error) in MISSING:
                raise no_queue(queue.url) from error
            raise refusal(error, f"receiving from {name_of(queue.url)!r}") from error
        messages = answer.get("Messages", ())
        if not messages:
            return 0
        # The timeout began when SQS answered, which was after `asked`.
        until = asked + self._config.visibility_seconds
        with self._changed:
            self._taken.extend(Taken(queue, message, until) for message in messages)
            self._characters += sum(len(message["Body"]) for message in messages)
            self._changed.notify_all()
        return len(messages)
