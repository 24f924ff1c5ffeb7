"""A queue or topic of a test's own on a stand-in for Amazon SQS."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from collectors.sqs import SQS, SQSConfig
from collectors.sqs.consumer import Consumer as SQSConsumer
from collectors.sqs.dead_letters import REASON
from eventhub.brokers.contract import Consumer
from eventhub.events.headers import HeaderValue
from tests.brokers.sqs.server import Cloud
from tests.contracts.broker import BadSetting, Grave, Rig, until
from tests.servers.process import free_port

__all__ = ["QueueRig", "SQSRig", "TopicRig", "receive_all"]

HEADER_VALUES: dict[str, HeaderValue] = {
    "text": "Grüße ☃",
    "long": "x" * 1_000,
    "whole": 7,
    "negative": -(10**30),
    "decimal": Decimal("-1.250"),
    "bytes": b"\xff\0",
}
_MOST_RECEIVES = 2


class Bystander:
    """Consumes a queue of its own, into which the same messages go, deleting each."""

    def __init__(self, cloud: Cloud, url: str) -> None:
        self._sqs = cloud.client()
        self._url = url
        self._got: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._consume, daemon=True)
        self._thread.start()

    def received(self) -> list[bytes]:
        """In the order of their sending: the queue itself promises none."""
        return sorted(self._got, key=lambda payload: (len(payload), payload))

    def facts(self) -> Mapping[str, object]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        names += ["VisibilityTimeout", "LastModifiedTimestamp"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        facts: dict[str, object] = answer["Attributes"]
        return facts

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _consume(self) -> None:
        while not self._stop.is_set():
            for message in _receive(self._sqs, self._url, wait=0):
                assert message["Attributes"]["ApproximateReceiveCount"] == "1"
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                self._got.append(_inner(message["Body"]).encode())
            self._stop.wait(0.02)


class SQSRig(Rig):
    """What queues and topics have in common."""

    adapter = SQS()
    carries = frozenset({"key", "headers"})
    header_values = HEADER_VALUES
    keeps_while_away = True
    too_large = 2 * 1024 * 1024
    config: SQSConfig

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.sqs = cloud.client()
        self.broker_name = cloud.title
        self.proxied_port = cloud.port
        self.installation = uuid4().hex[:8]
        self.name = f"orders-{self.installation}"
        self.missing_target = f"{self.name}-missing"
        self.queues: list[str] = []

    def base(self, **more: Any) -> SQSConfig:
        """The settings that reach it, and these."""
        if self.cloud.url is None:
            return SQSConfig(**more)
        return SQSConfig.model_validate(
            {
                "endpoint_url": self.cloud.url,
                "region": "us-east-1",
                "authentication": "access key",
                "access_key_id": "test",
                "secret_access_key": SecretStr("test's secret"),
                "wait_seconds": 1,
            }
            | more
        )

    def config_with(self, **changes: Any) -> SQSConfig:
        plain, secrets = self.config.split()
        return SQSConfig.model_validate({**plain, **secrets, **changes})

    def bad(self, more: dict[str, tuple[dict[str, Any], str, str]]) -> dict[str, BadSetting]:
        bad: dict[str, tuple[dict[str, Any], str, str]] = {
            "host": ({"endpoint_url": "http://no-such.invalid:1"}, "resolve", "cannot be resolved"),
            "port": (
                {"endpoint_url": f"http://127.0.0.1:{free_port()}"}, "connect", "Nothing listens",
            ),
            "metadata": ({"endpoint_url": "http://169.254.169.254"}, "resolve", "never a broker"),
            "TLS on a plain port": (
                {"endpoint_url": f"https://127.0.0.1:{self.cloud.port}"}, "tls", "http://",
            ),
            "profile": (
                {"authentication": "profile", "profile": "nobody"}, "resolve", "~/.aws/config",
            ),
            **more,
        }  # fmt: skip
        return {
            name: BadSetting(self.config_with(**changes), step, words)
            for name, (changes, step, words) in bad.items()
        }

    def make_queue(self, suffix: str = "", **attributes: str) -> str:
        """URL of a new queue, gone after the test."""
        fifo = {"FifoQueue": "true"} if self.fifo else {}
        name = f"{self.name}{suffix}" + (".fifo" if self.fifo else "")
        url: str = self.sqs.create_queue(QueueName=name, Attributes=attributes | fifo)["QueueUrl"]
        self.queues.append(url)
        return url

    fifo = False

    def send(self, url: str, payloads: list[bytes], *, group: str | None = "g") -> None:
        """`group` None: each in a group of its own."""
        for start in range(0, len(payloads), 10):
            entries: list[dict[str, Any]] = [
                {"Id": str(n), "MessageBody": payload.decode()}
                for n, payload in enumerate(payloads[start : start + 10])
            ]
            for entry in entries if self.fifo else ():
                entry["MessageGroupId"] = group or uuid4().hex
                entry["MessageDeduplicationId"] = uuid4().hex
            answer = self.sqs.send_message_batch(QueueUrl=url, Entries=entries)
            assert not answer.get("Failed"), answer

    def fill(self, count: int) -> str:
        url = self.make_queue(f"-full-{uuid4().hex[:8]}")
        self.send(url, [b"%d" % n for n in range(count)])
        return url.rpartition("/")[2]

    def bury(self, payloads: list[bytes]) -> Grave:
        """A consumer receives each twice without deleting it; a third time SQS buries it."""
        some = uuid4().hex[:8]
        grave = self.make_queue(f"-{some}-dead")
        arn = self.arn(grave)
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": _MOST_RECEIVES}
        work = self.make_queue(f"-{some}", RedrivePolicy=json.dumps(policy))
        for count, payload in enumerate(payloads, 1):
            self.send(work, [payload], group=None)

            def buried(count: int = count) -> bool:
                self.sqs.receive_message(QueueUrl=work, VisibilityTimeout=0)
                return self.waiting(grave) == count

            until(buried, "it is dead-lettered")
        return Grave(grave.rpartition("/")[2], work.rpartition("/")[2], REASON, _MOST_RECEIVES)

    def arn(self, url: str) -> str:
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    def waiting(self, url: str) -> int:
        name = "ApproximateNumberOfMessages"
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def through(self, port: int) -> SQSConfig | None:
        if not self.proxied_port:
            return None
        # A cut is noticed by a request that is under way.
        return self.config_with(endpoint_url=f"http://127.0.0.1:{port}", wait_seconds=1)

    def impatient(self) -> SQSConfig:
        return self.config_with(visibility_seconds=5)

    def abandon(self, consumer: Consumer) -> None:
        """Its messages are visible again at once, as if their visibility timeout were over."""
        assert isinstance(consumer, SQSConsumer)
        assert consumer._poller is not None
        consumer._poller.stop()
        held = [*consumer._poller.held(), *(taken for _, taken in consumer._unsettled)]
        consumer._unsettled.clear()
        consumer._poller._taken.clear()
        consumer.close()
        for taken in held:
            self.sqs.change_message_visibility(
                QueueUrl=taken.queue.url,
                ReceiptHandle=taken.message["ReceiptHandle"],
                VisibilityTimeout=0,
            )

    def traces(self) -> set[str]:
        urls = self.sqs.list_queues(QueueNamePrefix="eventhub-tap").get("QueueUrls", [])
        return {url.rpartition("/")[2] for url in urls if self.installation in url}

    def remove(self) -> None:
        for url in self.queues:
            with suppress(ClientError, BotoCoreError):
                self.sqs.delete_queue(QueueUrl=url)


class QueueRig(SQSRig):
    """A queue that an operator prepared for EventHub, beside the one of a consumer."""

    def __init__(self, cloud: Cloud, *, fifo: bool = False, **more: Any) -> None:
        super().__init__(cloud)
        self.fifo = fifo
        self.url = self.make_queue()
        self.destination = self.target = self.url.rpartition("/")[2]
        self.missing_target = f"{self.name}-missing" + (".fifo" if fifo else "")
        self.config = self.base(tap_queue=self.destination, **more)
        self.bad_settings = self.bad(
            {"queue": ({"tap_queue": "none-such"}, "permissions", "no queue 'none-such'")}
        )
        self._work: str | None = None

    def flood(self, payloads: list[bytes]) -> None:
        """What an operator's fan-out does: a copy into each queue."""
        self.send(self.url, payloads)
        if self._work is not None:
            self.send(self._work, payloads)

    def restart(self) -> None:
        """ElasticMQ forgets all: somebody makes the queue again."""
        self.cloud.kill()
        self.cloud.start()
        self.make_queue()

    @contextmanager
    def bystander(self) -> Iterator[Bystander]:
        self._work = self.make_queue("-work")
        other = Bystander(self.cloud, self._work)
        try:
            yield other
        finally:
            other.stop()
            self._work = None


class TopicRig(SQSRig):
    """An SNS topic, to which EventHub subscribes a queue of its own."""

    def __init__(self, cloud: Cloud, *, fifo: bool = False, **more: Any) -> None:
        super().__init__(cloud)
        self.fifo = fifo
        self.sns = cloud.client("sns")
        self._make_topic()
        self.missing_target = f"{self.destination[:-5] if fifo else self.destination}-missing"
        # moto hands the same message to two receivers at once.
        self.config = self.base(topics=[self.destination], receivers=1, wait_seconds=0, **more)
        missing = self.missing_target
        self.bad_settings = self.bad(
            {"topic": ({"topics": [missing]}, "permissions", "It is not there")}
        )

    def _make_topic(self) -> None:
        fifo = {"Attributes": {"FifoTopic": "true"}} if self.fifo else {}
        name = self.name + (".fifo" if self.fifo else "")
        self.destination = self.target = self.sns.create_topic(Name=name, **fifo)["TopicArn"]

    def flood(self, payloads: list[bytes]) -> None:
        for start in range(0, len(payloads), 10):
            entries: list[dict[str, Any]] = [
                {"Id": str(n), "Message": payload.decode()}
                for n, payload in enumerate(payloads[start : start + 10])
            ]
            for entry in entries if self.fifo else ():
                entry |= {"MessageGroupId": "g", "MessageDeduplicationId": uuid4().hex}
            answer = self.sns.publish_batch(
                TopicArn=self.target, PublishBatchRequestEntries=entries
            )
            assert not answer.get("Failed"), answer

    def restart(self) -> None:
        """moto forgets all: somebody makes the topic again."""
        self.cloud.kill()
        self.cloud.start()
        self._make_topic()

    def subscriptions(self) -> set[str]:
        """Endpoints that are subscribed to the topic."""
        answer = self.sns.list_subscriptions_by_topic(TopicArn=self.destination)
        return {each["Endpoint"] for each in answer["Subscriptions"]}

    def traces(self) -> set[str]:
        return super().traces() | self.subscriptions()

    @contextmanager
    def bystander(self) -> Iterator[Bystander]:
        url = self.make_queue("-work")
        self.sns.subscribe(TopicArn=self.destination, Protocol="sqs", Endpoint=self.arn(url))
        other = Bystander(self.cloud, url)
        try:
            yield other
        finally:
            other.stop()

    def remove(self) -> None:
        super().remove()
        for name in super().traces():
            with suppress(ClientError):
                self.sqs.delete_queue(QueueUrl=self.sqs.get_queue_url(QueueName=name)["QueueUrl"])
        self.sns.delete_topic(TopicArn=self.destination)


def receive_all(sqs: Any, url: str, count: int) -> list[dict[str, Any]]:
    """As a consumer of somebody else, without deleting; waits for `count` messages."""
    got: list[dict[str, Any]] = []

    def more() -> bool:
        got.extend(_receive(sqs, url, wait=1))
        return len(got) >= count

    until(more, f"{count} messages")
    return got


def _receive(sqs: Any, url: str, *, wait: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=wait,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    ).get("Messages", [])
    return messages


def _inner(body: str) -> str:
    """The message of SNS's envelope, or the body itself."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return body
    return str(parsed["Message"]) if isinstance(parsed, dict) and "TopicArn" in parsed else body
