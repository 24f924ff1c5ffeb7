"""Queues by name, URL and ARN, and calls of ten that SQS takes at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from collectors.sqs.refusals import MISSING, code_of, speaking
from eventhub.brokers.errors import PermanentFailure

__all__ = ["LARGEST", "TEN", "find_url", "is_fifo", "name_of", "no_queue", "queue_url", "tens"]

TEN: Final = 10
"""Messages in one request, at most."""
LARGEST: Final = 1_048_576
"""Bytes of a message, and of a batch, where a queue does not say less."""
T = TypeVar("T")


def name_of(queue: str) -> str:
    """The name, of a queue's URL or ARN; a name is its own."""
    return queue.rstrip("/").rpartition("/")[2].rpartition(":")[2]


def is_fifo(name: str) -> bool:
    """Of a queue's or a topic's name, URL or ARN."""
    return name.endswith(".fifo")


def queue_url(sqs: Any, queue: str) -> str:
    """Of a name; a URL, which another account's queue needs, is its own. Raises BrokerError."""
    url = find_url(sqs, queue)
    if url is None:
        raise no_queue(queue)
    return url


def no_queue(queue: str) -> PermanentFailure:
    """The words for a queue, by name or URL, that is not there, or not any more."""
    return PermanentFailure(
        f"There is no queue {name_of(queue)!r}.",
        way_out="Check the name and the region; for another account's queue give its URL.",
    )


def find_url(sqs: Any, queue: str) -> str | None:
    """As `queue_url`, but None where there is no such queue."""
    if queue.startswith(("http://", "https://")):
        return queue
    with speaking(f"looking for the queue {queue!r}"):
        try:
            url: str = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        except sqs.exceptions.ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise
    return url


def tens(items: Iterable[T]) -> Iterator[Sequence[T]]:
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == TEN:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
