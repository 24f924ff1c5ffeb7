"""What queues there are, and how they stood when asked: a call a queue, several at once.

SQS has no call for many queues. `ListQueues` gives names only, up to a thousand a page.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

import msgspec

from collectors.sqs.config import SQSConfig
from collectors.sqs.queues import name_of
from collectors.sqs.refusals import DENIED, MISSING, code_of, speaking

__all__ = ["AT_ONCE", "QueueFacts", "ask_queues", "list_queues"]

AT_ONCE: Final = 8
"""Requests at once: a burst of a whole account's queues would be throttled."""
_PAGE: Final = 1_000
_PAGES: Final = 50


class _Redrive(msgspec.Struct, frozen=True):
    deadLetterTargetArn: str = ""
    maxReceiveCount: int | str | None = None


class QueueFacts(msgspec.Struct, frozen=True):
    name: str
    url: str
    waiting: int | None
    in_flight: int | None
    delayed: int | None
    fifo: bool
    dead_letter_queue: str | None
    """Name of the queue that its dead letters go to."""
    most_receives: int | None
    """How often a message is received before it is dead."""


def list_queues(sqs: Any, config: SQSConfig) -> list[str]:
    """URLs of all queues, or of those with the configured prefix. Raises BrokerError."""
    named = {"QueueNamePrefix": config.queue_prefix} if config.queue_prefix else {}
    urls: list[str] = []
    pages = sqs.get_paginator("list_queues")
    with speaking("listing the queues"):
        answers = pages.paginate(**named, PaginationConfig={"PageSize": _PAGE})
        for page in islice(answers, _PAGES):
            urls += page.get("QueueUrls", ())
    return urls


def ask_queues(sqs: Any, urls: Sequence[str], pool: ThreadPoolExecutor) -> list[QueueFacts | None]:
    """In the order of `urls`; None for one that is gone or may not be asked."""
    return list(pool.map(lambda url: _ask(sqs, url), urls))


def _ask(sqs: Any, url: str) -> QueueFacts | None:
    with speaking(f"asking for the attributes of {name_of(url)!r}"):
        try:
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        except sqs.exceptions.ClientError as error:
            if code_of(error) in MISSING | DENIED:
                return None
            raise
    return _facts(url, answer.get("Attributes", {}))


def _facts(url: str, told: dict[str, str]) -> QueueFacts:
    redrive = _redrive(told.get("RedrivePolicy", ""))
    target = redrive.deadLetterTargetArn
    return QueueFacts(
        name=name_of(url),
        url=url,
        waiting=_number(told.get("ApproximateNumberOfMessages")),
        in_flight=_number(told.get("ApproximateNumberOfMessagesNotVisible")),
        delayed=_number(told.get("ApproximateNumberOfMessagesDelayed")),
        fifo=told.get("FifoQueue") == "true",
        dead_letter_queue=name_of(target) if target else None,
        most_receives=_number(redrive.maxReceiveCount),
    )


def _redrive(policy: str) -> _Redrive:
    try:
        return msgspec.json.decode(policy, type=_Redrive)
    except msgspec.MsgspecError:
        return _Redrive()


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isdigit() else None
