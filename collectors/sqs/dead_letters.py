"""Dead letters: received from their queue, deleted one by one, or made visible again.

SQS has no way to look at a message without receiving it, which hides it and is counted.
"""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from collectors.failures import failure
from collectors.sqs.account import AT_ONCE, QueueFacts, ask_queues
from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import ANSWER_SECONDS, Clients
from collectors.sqs.queues import TEN, name_of, queue_url, tens
from collectors.sqs.refusals import refusal, speaking
from collectors.sqs.translate import Place, delivery
from eventhub.brokers.contract import (
    Confirmed,
    DeadLetter,
    DeadLetterAccess,
    Outcome,
    Refused,
    Unknown,
)
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["ACCESS", "REASON", "DeadLetters"]

ACCESS: Final = DeadLetterAccess(
    peeks=False,
    claims=True,
    note="A letter that is claimed is hidden from others until it is removed or released. Each"
    " claim is counted as a receive; a queue of dead letters seldom limits those.",
)
REASON: Final = "maxReceiveCount exceeded"
_LONGEST_WAIT: Final = 20
_HOLD_SECONDS: Final = 300
"""How long a claim hides a letter at least: time to store it, or to publish it elsewhere."""
_LEAVE_SECONDS: Final = 3.0


class _Token(NamedTuple):
    url: str
    handle: str


class DeadLetters:
    """See `eventhub.brokers.contract.DeadLetters`."""

    def __init__(self, config: SQSConfig) -> None:
        self._hold = max(config.visibility_seconds, _HOLD_SECONDS)
        self._clients = Clients(
            config, connections=AT_ONCE, answer_seconds=_LONGEST_WAIT + ANSWER_SECONDS
        )
        self._urls: dict[str, str] = {}
        self._sources: dict[str, list[QueueFacts]] = {}
        self._held: set[_Token] = set()

    def peek(self, queue: str, limit: int, after: str | None = None) -> list[DeadLetter]:
        raise PermanentFailure(
            "SQS cannot show a message without handing it out.",
            way_out="Claim the letters: they are hidden from others, and can be released.",
        )

    def claim(self, queue: str, limit: int, max_wait: float) -> list[DeadLetter]:
        """A long poll takes whole seconds: `max_wait` is rounded up."""
        sqs = self._clients.get("sqs")
        url = self._url(queue)
        sources = self._sources_of(url)
        letters: list[DeadLetter] = []
        deadline = time.monotonic() + max_wait
        while len(letters) < limit:
            # Once some are there, take what else is there and do not wait for more.
            left = 0.0 if letters else deadline - time.monotonic()
            if left <= 0 and not letters:
                break
            messages = self._receive(sqs, url, min(limit - len(letters), TEN), left)
            if not messages:
                break
            letters += [self._letter(url, message, sources) for message in messages]
        return letters

    def remove(self, letters: Sequence[DeadLetter]) -> list[Outcome]:
        outcomes: list[Outcome] = [Refused("The letter was not claimed here.")] * len(letters)
        for url, places in self._by_queue(letters).items():
            for ten in tens(places):
                for place, outcome in zip(ten, self._delete(url, ten, letters), strict=True):
                    outcomes[place] = outcome
        return outcomes

    def release(self, letters: Sequence[DeadLetter]) -> None:
        self._release([each.token for each in letters if isinstance(each.token, _Token)])

    def close(self) -> None:
        deadline = time.monotonic() + _LEAVE_SECONDS
        for ten in tens(list(self._held)):
            if time.monotonic() > deadline:
                break  # the rest comes back when its time is over
            try:
                self._release(ten)
            except (NotConnected, PermanentFailure):
                break
        self._clients.close()

    def _url(self, queue: str) -> str:
        if queue not in self._urls:
            self._urls[queue] = queue_url(self._clients.get("sqs"), queue)
        return self._urls[queue]

    def _sources_of(self, url: str) -> list[QueueFacts]:
        """Queues whose redrive policy names this one. Asked once: they seldom change."""
        if url not in self._sources:
            sqs = self._clients.get("sqs")
            try:
                answer = sqs.list_dead_letter_source_queues(QueueUrl=url)
                with ThreadPoolExecutor(AT_ONCE) as pool:
                    told = ask_queues(sqs, answer.get("queueUrls", ()), pool)
            except ClientError:
                told = []  # not allowed to ask: the letters can be claimed all the same
            except BotoCoreError as error:
                raise refusal(error, f"asking whose letters are in {name_of(url)!r}") from error
            self._sources[url] = [facts for facts in told if facts is not None]
        return self._sources[url]

    def _receive(self, sqs: Any, url: str, count: int, wait: float) -> list[dict[str, Any]]:
        with speaking(f"claiming from {name_of(url)!r}"):
            answer = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=min(math.ceil(wait), _LONGEST_WAIT),
                VisibilityTimeout=self._hold,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _letter(self, url: str, message: dict[str, Any], sources: list[QueueFacts]) -> DeadLetter:
        token = _Token(url, message["ReceiptHandle"])
        self._held.add(token)
        received = delivery(message, Place(name_of(url)))
        told = failure(dict(received.headers))
        source = _source(message, sources)
        redriven = bool(sources)
        return DeadLetter(
            received,
            origin=told.origin or (source.name if source else None),
            reason=told.reason or (REASON if redriven else None),
            # The count of receives goes on with each claim; the policy tells how many killed it.
            attempts=told.attempts or (source.most_receives if source else None),
            died_at=told.died_at,
            exception=told.exception,
            exception_message=told.exception_message,
            stack_trace=told.stack_trace,
            token=token,
        )

    def _by_queue(self, letters: Sequence[DeadLetter]) -> dict[str, list[int]]:
        """Places of the letters that were claimed, by the URL of their queue."""
        places: dict[str, list[int]] = {}
        for place, letter in enumerate(letters):
            if isinstance(letter.token, _Token):
                places.setdefault(letter.token.url, []).append(place)
        return places

    def _delete(
        self, url: str, places: Sequence[int], letters: Sequence[DeadLetter]
    ) -> list[Outcome]:
        tokens = [letters[place].token for place in places]
        entries = [
            {"Id": str(n), "ReceiptHandle": token.handle}
            for n, token in enumerate(tokens)
            if isinstance(token, _Token)
        ]
        try:
            answer = self._clients.get("sqs").delete_message_batch(QueueUrl=url, Entries=entries)
        except ClientError as error:
            return [Refused(str(refusal(error, "removing letters")))] * len(places)
        except BotoCoreError as error:
            return [Unknown(str(refusal(error, "removing letters")))] * len(places)
        failed = {each["Id"]: each for each in answer.get("Failed", ())}
        outcomes: list[Outcome] = []
        for n, token in enumerate(tokens):
            problem = failed.get(str(n))
            if problem is None:
                assert isinstance(token, _Token)
                self._held.discard(token)
                outcomes.append(Confirmed())
            else:
                outcomes.append(Refused(f"{problem.get('Code')}: {problem.get('Message')}"))
        return outcomes

    def _release(self, tokens: Sequence[_Token]) -> None:
        sqs = self._clients.get("sqs")
        by_url: dict[str, list[_Token]] = {}
        for token in tokens:
            by_url.setdefault(token.url, []).append(token)
        for url, some in by_url.items():
            for ten in tens(some):
                entries = [
                    {"Id": str(n), "ReceiptHandle": token.handle, "VisibilityTimeout": 0}
                    for n, token in enumerate(ten)
                ]
                with speaking(f"releasing letters of {name_of(url)!r}"):
                    sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
                self._held.difference_update(ten)


def _source(message: dict[str, Any], sources: list[QueueFacts]) -> QueueFacts | None:
    """The queue it died in: Amazon tells it with the message; else it is the only one there."""
    arn = message.get("Attributes", {}).get("DeadLetterQueueSourceArn")
    if arn is not None:
        return next((each for each in sources if each.name == name_of(arn)), None)
    return sources[0] if len(sources) == 1 else None
