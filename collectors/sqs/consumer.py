"""Receives from EventHub's own queue, or takes from others', and tells what may be missing."""

import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import ANSWER_SECONDS, Clients
from collectors.sqs.poller import Poller, Queue, Taken
from collectors.sqs.queues import name_of, queue_url, tens
from collectors.sqs.refusals import code_of, refusal, speaking
from collectors.sqs.tap import Tap
from collectors.sqs.translate import Place, delivery
from eventhub.brokers.contract import Gap, Observation, Received
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["Consumer", "expired"]

_HANDS: Final = 8
"""Requests at once that delete, renew or release."""
_LEAVE_SECONDS: Final = 1.0
_CHECK_EVERY: Final = 60.0
"""Seconds between two looks whether the tap is still fed."""


class Consumer:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: SQSConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._poller: Poller | None = None
        self._clients: Clients | None = None
        self._tap: Tap | None = None

    def open(self) -> None:
        count = max(len(self._config.queues), 1)
        self._clients = Clients(
            self._config,
            connections=count * self._config.receivers + _HANDS,
            answer_seconds=self._config.wait_seconds + ANSWER_SECONDS,
        )
        self._gaps: list[Gap] = []
        self._checkpoint: dict[str, str] = {}
        self._unsettled: deque[tuple[int, Taken]] = deque()
        self._number = 0
        self._newest = self._observation.last_seen
        self._renew_due = time.monotonic()
        self._check_due = time.monotonic() + _CHECK_EVERY
        try:
            queues = self._queues()
            self._note_absence(queues)
        except BaseException:
            self.close()
            raise
        self._hands = ThreadPoolExecutor(_HANDS, thread_name_prefix="settle with SQS")
        self._poller = Poller(self._clients.get("sqs"), queues, self._config)
        self._poller.start()

    def receive(self, max_messages: int, max_wait: float) -> Received:
        poller = self._live()
        if self._gaps:
            max_wait = 0  # what opening found goes into the history at once
        self._check_tap()
        taken = poller.take(max_messages, max_wait)
        self._renew()
        for each in taken:
            self._number += 1
            self._unsettled.append((self._number, each))
        self._note_age(taken)
        received = Received(
            [delivery(each.message, each.queue.place) for each in taken],
            self._gaps,
            self._checkpoint,
            token=self._number,
        )
        self._gaps, self._checkpoint = [], {}
        return received

    def settle(self, received: Received) -> None:
        """This batch, and what was received before it."""
        self._live()
        assert isinstance(received.token, int)
        done: list[Taken] = []
        while self._unsettled and self._unsettled[0][0] <= received.token:
            done.append(self._unsettled.popleft()[1])
        for failed in self._each_ten("delete_message_batch", done):
            # One that was not deleted comes again, and is known by its position.
            if not failed.get("SenderFault", True):
                raise NotConnected(f"SQS did not delete a message: {failed.get('Message')}")

    def keep_alive(self) -> None:
        self._live()
        self._renew()

    def close(self) -> None:
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.stop()
            self._release([*poller.held(), *(taken for _, taken in self._unsettled)])
            self._unsettled.clear()
            self._hands.shutdown()
        if self._clients is not None:
            self._clients.close()
            self._clients = None

    def _live(self) -> Poller:
        if self._poller is None:
            raise NotConnected("The source is not open.")
        return self._poller

    def _queues(self) -> list[Queue]:
        assert self._clients is not None
        config = self._config
        sqs = self._clients.get("sqs")
        if config.mode == "consume":
            if not config.queues:
                raise PermanentFailure("No queue is chosen.", way_out="Choose queues to consume.")
            return [Queue(queue_url(sqs, each), Place(name_of(each))) for each in config.queues]
        unwraps = config.delivery == "envelope"
        if config.tap_queue:
            place = Place(name_of(config.tap_queue), unwraps)
            return [Queue(queue_url(sqs, config.tap_queue), place)]
        self._tap = Tap(self._clients, config, self._observation)
        prepared = self._tap.prepare()
        self._gaps += prepared.gaps
        self._checkpoint = prepared.checkpoint
        place = Place(prepared.bus or config.topics[0], unwraps, is_bus=prepared.bus is not None)
        return [Queue(prepared.url, place)]

    def _check_tap(self) -> None:
        if self._tap is not None and time.monotonic() >= self._check_due:
            self._check_due = time.monotonic() + _CHECK_EVERY
            self._tap.check()

    def _note_absence(self, queues: list[Queue]) -> None:
        """Whoever was away for longer than a queue keeps messages has missed some."""
        assert self._clients is not None
        sqs = self._clients.get("sqs")
        keeps = [_retention(sqs, queue.url) for queue in queues]
        self._keeps = min((each for each in keeps if each is not None), default=None)
        last_seen, now = self._observation.last_seen, _now()
        if last_seen is None or self._keeps is None or now - last_seen <= self._keeps:
            return
        if not self._gaps:
            words = f"EventHub was away for longer than messages are kept ({_long(self._keeps)})."
            self._gaps.append(Gap(words, last_seen, now - self._keeps))

    def _note_age(self, taken: list[Taken]) -> None:
        sent = [int(each.message["Attributes"].get("SentTimestamp", 0)) for each in taken]
        if not sent:
            return
        if gap := expired(self._newest, min(sent), _now(), self._keeps):
            self._gaps.append(gap)
        self._newest = max(sent)

    def _renew(self) -> None:
        """Keep what is held hidden from others: the store may be slow, or away."""
        now = time.monotonic()
        if now < self._renew_due:
            return
        self._renew_due = now + self._config.visibility_seconds / 8
        late = now + self._config.visibility_seconds / 2
        poller = self._live()
        held = [*(taken for _, taken in self._unsettled), *poller.held()]
        due = [taken for taken in held if taken.until < late]
        self._each_ten("change_message_visibility_batch", due, self._config.visibility_seconds)
        for taken in due:
            taken.until = now + self._config.visibility_seconds

    def _each_ten(
        self, call: str, taken: list[Taken], visibility: int | None = None
    ) -> list[dict[str, Any]]:
        """Do it for all, ten in a request; returns those that failed. Raises BrokerError."""
        if not taken:
            return []
        assert self._clients is not None
        method = getattr(self._clients.get("sqs"), call)

        def act(chunk: tuple[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
            url, entries = chunk
            with speaking(f"settling in {name_of(url)!r}"):
                failed: list[dict[str, Any]] = method(QueueUrl=url, Entries=entries).get("Failed")
            return failed or []

        return [
            failed for some in self._hands.map(act, _entries(taken, visibility)) for failed in some
        ]

    def _release(self, taken: list[Taken]) -> None:
        """Give back what is held, as far as a second allows; the rest comes back by itself."""
        assert self._clients is not None
        sqs = self._clients.get("sqs")
        deadline = time.monotonic() + _LEAVE_SECONDS

        def give_back(chunk: tuple[str, list[dict[str, Any]]]) -> None:
            nonlocal deadline
            if time.monotonic() < deadline:
                try:
                    sqs.change_message_visibility_batch(QueueUrl=chunk[0], Entries=chunk[1])
                except (ClientError, BotoCoreError, BrokerError):
                    deadline = 0.0  # the service is away: the others would wait for nothing

        list(self._hands.map(give_back, _entries(taken, 0)))


def expired(previous: int | None, oldest: int, now: int, keeps: int | None) -> Gap | None:
    """The gap, where messages waited almost as long as the queue keeps them: those sent between
    the newest received before (`previous`) and the oldest that still came may be gone."""
    if keeps is None or previous is None or oldest <= previous or now - oldest < keeps * 0.9:
        return None
    words = f"Messages waited almost as long as they are kept ({_long(keeps)}); some may be gone."
    return Gap(words, previous, oldest)


def _entries(
    taken: Iterable[Taken], visibility: int | None
) -> list[tuple[str, list[dict[str, Any]]]]:
    by_url: dict[str, list[str]] = {}
    for each in taken:
        by_url.setdefault(each.queue.url, []).append(each.message["ReceiptHandle"])
    more = {} if visibility is None else {"VisibilityTimeout": visibility}
    return [
        (url, [{"Id": str(n), "ReceiptHandle": handle, **more} for n, handle in enumerate(ten)])
        for url, handles in by_url.items()
        for ten in tens(handles)
    ]


def _retention(sqs: Any, url: str) -> int | None:
    """Milliseconds that the queue keeps a message; None where it may not be asked."""
    try:
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["MessageRetentionPeriod"])
    except BotoCoreError as error:
        raise refusal(error, f"asking {name_of(url)!r} how long it keeps messages") from error
    except ClientError as error:
        if code_of(error) == "InvalidAttributeName":  # ElasticMQ keeps for ever
            return None
        problem = refusal(error, f"asking {name_of(url)!r} how long it keeps messages")
        if isinstance(problem, NotConnected):
            raise problem from error
        return None
    text = answer.get("Attributes", {}).get("MessageRetentionPeriod")
    return None if text is None else int(text) * 1000


def _long(milliseconds: int) -> str:
    hours = milliseconds / 3_600_000
    return f"{hours:g} h" if hours >= 1 else f"{milliseconds // 60_000} min"


def _now() -> int:
    return time.time_ns() // 1_000_000
