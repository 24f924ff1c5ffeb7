"""Amazon SQS: a full queue, and what botocore does with nothing around it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from benchmarks.case import Broker, Case, Place
from tests.brokers.sqs.server import client, running

__all__ = ["BROKER"]

_TEN: Final = 10
_SENDERS: Final = 8
RECEIVERS: Final = 4
"""As many as the adapter has for a busy queue, `SQSConfig.receivers`."""
_ATTRIBUTES: Final[dict[str, Any]] = {
    "tenant": {"DataType": "String", "StringValue": "acme"},
    "region": {"DataType": "String", "StringValue": "eu"},
    "attempt": {"DataType": "Number", "StringValue": "1"},
    "amount": {"DataType": "Number", "StringValue": "318.4"},
    "traceparent": {"DataType": "String", "StringValue": f"00-{'a' * 32}-{'b' * 16}-01"},
}


def fill(endpoint: str, queue: str, payload: bytes, count: int) -> None:
    """Make a queue, and put so many messages with five attributes into it."""
    sqs = client(endpoint)
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    body = payload.decode()

    def send(first: int) -> None:
        entries = [
            {"Id": str(number), "MessageBody": body, "MessageAttributes": _ATTRIBUTES}
            for number in range(first, min(first + _TEN, count))
        ]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")

    with ThreadPoolExecutor(_SENDERS) as pool:
        list(pool.map(send, range(0, count, _TEN)))
    sqs.close()


def receive_raw(endpoint: str, queue: str, count: int) -> float:
    """Messages a second that botocore hands over from a full queue, deleting ten at a time."""
    sqs = client(endpoint)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def work() -> Iterator[int]:
        while messages := _receive(sqs, url):
            entries = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
                for n, each in enumerate(messages)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
            yield len(messages)

    began = time.perf_counter()
    with ThreadPoolExecutor(RECEIVERS) as pool:
        received = sum(pool.map(lambda _: sum(work()), range(RECEIVERS)))
    took = time.perf_counter() - began
    sqs.close()
    assert received == count
    return count / took


def _receive(sqs: Any, url: str) -> list[Any]:
    answer = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=_TEN,
        VisibilityTimeout=60,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    found: list[Any] = answer.get("Messages", [])
    return found


def _case(place: Place, name: str) -> Case:
    endpoint = place["endpoint"]

    def fill_both(payload: bytes, count: int, _: Callable[[], None]) -> None:
        for queue in (name, f"{name}-plain"):
            fill(endpoint, queue, payload, count)

    config = {
        "endpoint_url": endpoint, "region": "eu-west-1", "authentication": "access key",
        "access_key_id": "x", "secret_access_key": "x", "mode": "consume", "queues": [name],
    }  # fmt: skip
    return Case(
        config, "earliest", fill_both, lambda count: receive_raw(endpoint, f"{name}-plain", count)
    )


BROKER: Final = Broker(running, lambda server: {"endpoint": server.url}, _case, 0.05)
