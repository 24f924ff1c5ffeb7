"""EventHub's own queue: subscribed to the chosen topics, fed by a rule of the chosen bus.

It is bounded by its retention: what waits longer is gone, and is a gap. SQS knows no queue that
removes itself, so it stays until `remove`.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import Clients
from collectors.sqs.queues import find_url, is_fifo, name_of
from collectors.sqs.refusals import MISSING, code_of, speaking
from eventhub.brokers.contract import Gap, Observation
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Tap", "tap_name"]

_ALL_EVENTS: Final = '{"source": [{"prefix": ""}]}'
_TARGET: Final = "eventhub"
_LONGEST_NAME: Final = 64
"""Of a rule; a queue's name may have 80 characters."""


class Prepared(msgspec.Struct, frozen=True):
    url: str
    gaps: list[Gap]
    checkpoint: dict[str, str]
    """Topics that are subscribed, with their subscriptions: one that is gone later is a gap."""
    bus: str | None
    """ARN of the bus that feeds the queue."""


def tap_name(config: SQSConfig, observation: Observation) -> str:
    """Of the queue, and of the rule. FIFO topics keep their order only in a FIFO queue."""
    fifo = bool(config.topics) and all(map(is_fifo, config.topics)) and not config.event_bus
    plain = f"eventhub-tap-{observation.installation}-{observation.name}"
    name = re.sub(r"[^A-Za-z0-9_-]", "-", plain)
    if name != plain or len(name) + 5 > _LONGEST_NAME:
        digest = hashlib.sha256(plain.encode()).hexdigest()[:8]
        name = f"{name[: _LONGEST_NAME - 14]}-{digest}"
    return name + ".fifo" if fifo else name


class Tap:
    def __init__(self, clients: Clients, config: SQSConfig, observation: Observation) -> None:
        self._clients = clients
        self._config = config
        self._observation = observation
        self._name = tap_name(config, observation)
        self._gaps: list[Gap] = []
        self._checkpoint: dict[str, str] = {}

    def prepare(self) -> Prepared:
        """Make what is missing. Raises BrokerError."""
        if not self._config.topics and not self._config.event_bus:
            raise PermanentFailure(
                "No topic and no bus is chosen.",
                way_out="Choose SNS topics or an EventBridge bus, or name a prepared tap queue.",
            )
        url, arn = self._queue()
        for topic in self._config.topics:
            self._subscribe(topic, arn)
        for topic in self._observation.checkpoint:
            if topic not in self._config.topics:
                self._unsubscribe(topic, arn)
                self._checkpoint[topic] = ""
        bus = None
        if self._config.event_bus:
            self._feed(arn)
            bus = self._at_the_bus(arn, f"event-bus/{name_of(self._config.event_bus)}")
        return Prepared(url, self._gaps, self._checkpoint, bus)

    def check(self) -> None:
        """Raises NotConnected where a subscription or the rule is gone, as they go with a deleted
        topic: opening again makes it anew, or says what is not there, and tells the gap."""
        sns, events = self._clients.get("sns"), self._clients.get("events")
        for topic, subscription in self._checkpoint.items():
            named = {"SubscriptionArn": subscription}
            if subscription and _is_gone(sns.get_subscription_attributes, named):
                raise NotConnected(f"The subscription to {topic} was removed.")
        bus = self._config.event_bus
        if bus and _is_gone(events.describe_rule, {"Name": self._name, "EventBusName": bus}):
            raise NotConnected(f"The rule on the bus {bus!r} was removed.")

    def remove(self) -> None:
        """Unsubscribe, remove the rule and the queue; what is gone already is no error."""
        sqs = self._clients.get("sqs")
        url = find_url(sqs, self._name)
        arn = None if url is None else self._attributes(url)["QueueArn"]
        chosen = {*self._config.topics, *self._observation.checkpoint}
        if self._config.mode == "tap" and not self._config.tap_queue:
            for topic in chosen:
                self._unsubscribe(topic, arn)
            if self._config.event_bus:
                self._starve()
        if url is not None:
            with speaking(f"removing the queue {self._name!r}"):
                sqs.delete_queue(QueueUrl=url)

    def _queue(self) -> tuple[str, str]:
        sqs = self._clients.get("sqs")
        seconds = str(self._config.tap_retention_minutes * 60)
        url = find_url(sqs, self._name)
        wanted = {"MessageRetentionPeriod": seconds}
        if url is None:
            if self._observation.last_seen is not None:
                self._miss("The tap queue had been removed; it was made anew.")
            with speaking(f"making the queue {self._name!r}"):
                fifo = {"FifoQueue": "true"} if is_fifo(self._name) else {}
                answer = sqs.create_queue(QueueName=self._name, Attributes=wanted | fifo)
            url = str(answer["QueueUrl"])
        found = self._attributes(url)
        arn: str = found["QueueArn"]
        wanted["Policy"] = self._policy(arn)
        if any(found.get(name) != value for name, value in wanted.items()):
            with speaking(f"setting up the queue {self._name!r}"):
                sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)
        return url, arn

    def _attributes(self, url: str) -> dict[str, str]:
        sqs = self._clients.get("sqs")
        names = ["QueueArn", "Policy", "MessageRetentionPeriod"]
        with speaking(f"asking for the attributes of {self._name!r}"):
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        found: dict[str, str] = answer["Attributes"]
        return found

    def _policy(self, arn: str) -> str:
        """Who may send to the queue: the chosen topics and our rule, and nobody else."""
        statements = []
        if self._config.topics:
            statements.append(_may_send("sns.amazonaws.com", arn, self._config.topics))
        if self._config.event_bus:
            statements.append(_may_send("events.amazonaws.com", arn, [self._rule_arn(arn)]))
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    def _rule_arn(self, queue_arn: str) -> str:
        """rule/NAME on the default bus, rule/BUS/NAME on others."""
        bus = name_of(self._config.event_bus)
        path = self._name if bus == "default" else f"{bus}/{self._name}"
        return self._at_the_bus(queue_arn, f"rule/{path}")

    def _at_the_bus(self, queue_arn: str, path: str) -> str:
        """An ARN in the account and region of the bus: the queue's, unless it tells others."""
        place = self._config.event_bus if self._config.event_bus[:4] == "arn:" else queue_arn
        partition, _, region, account = place.split(":")[1:5]
        return f"arn:{partition}:events:{region}:{account}:{path}"

    def _subscribe(self, topic: str, arn: str) -> None:
        sns = self._clients.get("sns")
        raw = "true" if self._config.delivery == "raw" else "false"
        with speaking(f"subscribing to {topic}"):
            found = next(_subscriptions(sns, topic, arn), None)
            if found is None:
                if self._observation.checkpoint.get(topic):
                    self._miss("The subscription had been removed; it was made anew.", topic)
                answer = sns.subscribe(
                    TopicArn=topic, Protocol="sqs", Endpoint=arn,
                    Attributes={"RawMessageDelivery": raw}, ReturnSubscriptionArn=True,
                )  # fmt: skip
                found = str(answer["SubscriptionArn"])
            else:
                told = sns.get_subscription_attributes(SubscriptionArn=found)["Attributes"]
                if told.get("RawMessageDelivery", "false") != raw:
                    sns.set_subscription_attributes(
                        SubscriptionArn=found,
                        AttributeName="RawMessageDelivery",
                        AttributeValue=raw,
                    )
        self._checkpoint[topic] = found

    def _unsubscribe(self, topic: str, arn: str | None) -> None:
        """By the queue's ARN; by our note of it where the queue is gone."""
        sns = self._clients.get("sns")
        noted = self._observation.checkpoint.get(topic)
        with speaking(f"ending the subscription to {topic}"):
            try:
                found = [] if arn is None else list(_subscriptions(sns, topic, arn))
                for subscription in {*found, noted or ""} - {""}:
                    sns.unsubscribe(SubscriptionArn=subscription)
            except sns.exceptions.ClientError as error:
                if code_of(error) not in MISSING:
                    raise

    def _feed(self, arn: str) -> None:
        events = self._clients.get("events")
        named = {"Rule": self._name, "EventBusName": self._config.event_bus}
        with speaking(f"making a rule on the bus {self._config.event_bus!r}"):
            events.put_rule(
                Name=self._name,
                EventBusName=self._config.event_bus,
                EventPattern=self._config.event_pattern or _ALL_EVENTS,
                Description="Copies events to EventHub.",
            )
            answer = events.put_targets(**named, Targets=[{"Id": _TARGET, "Arn": arn}])
        for failed in answer.get("FailedEntries", ()):
            raise PermanentFailure(
                f"The rule cannot send to EventHub's queue: {failed.get('ErrorMessage')}"
            )

    def _starve(self) -> None:
        events = self._clients.get("events")
        bus = self._config.event_bus
        with speaking(f"removing the rule on the bus {bus!r}"):
            try:
                events.remove_targets(Rule=self._name, EventBusName=bus, Ids=[_TARGET])
                events.delete_rule(Name=self._name, EventBusName=bus)
            except events.exceptions.ClientError as error:
                if code_of(error) not in MISSING:
                    raise

    def _miss(self, reason: str, topic: str | None = None) -> None:
        now = time.time_ns() // 1_000_000
        started = self._observation.last_seen
        self._gaps.append(Gap(reason, now if started is None else started, now, destination=topic))


def _may_send(service: str, arn: str, sources: Iterable[str]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": sorted(sources)}},
    }


def _is_gone(call: Callable[..., Any], named: dict[str, str]) -> bool:
    """False where it cannot be known: an outage shows when receiving."""
    try:
        call(**named)
    except ClientError as error:
        return code_of(error) in MISSING
    except BotoCoreError:
        return False
    return False


def _subscriptions(sns: Any, topic: str, arn: str) -> Iterator[str]:
    """Subscriptions of this queue to the topic."""
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for each in page["Subscriptions"]:
            if each["Endpoint"] == arn and each["SubscriptionArn"].startswith("arn:"):
                yield each["SubscriptionArn"]
