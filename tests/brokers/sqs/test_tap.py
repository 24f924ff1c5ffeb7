"""EventHub's own queue behind SNS and EventBridge, on moto (a stand-in)."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from collectors.sqs.consumer import expired
from collectors.sqs.tap import tap_name
from eventhub.brokers.contract import Confirmed, Gap, Message
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.sqs.rig import HEADER_VALUES, TopicRig
from tests.brokers.sqs.server import Cloud
from tests.contracts.broker import (
    collect,
    observation,
    opened,
    publishing,
    receive_batch,
    until,
)


@pytest.fixture
def rig(moto: Cloud) -> Iterator[TopicRig]:
    rig = TopicRig(moto)
    yield rig
    rig.remove()


def attributes(rig: TopicRig) -> dict[str, Any]:
    [name] = (name for name in rig.traces() if name.startswith("eventhub"))
    url = rig.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found: dict[str, Any] = rig.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return {**found["Attributes"], "url": url}


def now() -> int:
    return time.time_ns() // 1_000_000


def test_the_queue_is_bounded_and_only_the_topic_may_send(rig: TopicRig) -> None:
    rig.config = rig.config_with(tap_retention_minutes=10)
    with opened(rig):
        made = attributes(rig)
    assert made["MessageRetentionPeriod"] == "600"
    [statement] = json.loads(made["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": [rig.destination]}}
    rig.config = rig.config_with(tap_retention_minutes=20)
    with opened(rig):
        assert attributes(rig)["MessageRetentionPeriod"] == "1200"


@pytest.mark.parametrize("delivery", ["envelope", "raw"])
def test_the_message_and_its_attributes_arrive(rig: TopicRig, delivery: str) -> None:
    rig.config = rig.config_with(delivery=delivery)
    headers = list(HEADER_VALUES.items())
    if delivery == "raw":  # moto 5.2 cannot receive a Binary that came raw: it answers 500
        headers = [(name, value) for name, value in headers if not isinstance(value, bytes)]
    with opened(rig) as consumer, publishing(rig) as publisher:
        message = Message(b'{"type": "Paid"}', headers=[*headers, ("sns.Subject", "News")])
        [outcome] = publisher.publish([message], rig.target)
        assert isinstance(outcome, Confirmed)
        [arrived] = collect(consumer, 1)
    assert arrived.payload == b'{"type": "Paid"}'
    assert arrived.type == "Paid"
    assert arrived.destination == rig.destination
    assert set(headers) <= set(arrived.headers)
    told = dict(arrived.headers)
    if delivery == "envelope":
        assert told["sns.Subject"] == "News"
        assert arrived.position == arrived.message_id == outcome.detail


def test_a_change_of_the_delivery_changes_the_subscription(rig: TopicRig) -> None:
    for delivery, raw in (("envelope", "false"), ("raw", "true"), ("envelope", "false")):
        rig.config = rig.config_with(delivery=delivery)
        with opened(rig):
            answer = rig.sns.list_subscriptions_by_topic(TopicArn=rig.destination)
            [subscription] = answer["Subscriptions"]
            arn = subscription["SubscriptionArn"]
            told = rig.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
            assert told.get("RawMessageDelivery", "false") == raw


def test_a_removed_queue_and_a_removed_subscription_are_gaps(rig: TopicRig) -> None:
    with opened(rig) as consumer:
        checkpoint = consumer.receive(1, 0.1).checkpoint
        made = attributes(rig)
    assert set(checkpoint) == {rig.destination}
    left = now()
    rig.sns.unsubscribe(SubscriptionArn=checkpoint[rig.destination])
    with opened(rig, last_seen=left, checkpoint=checkpoint) as consumer:
        [gap] = consumer.receive(1, 0.1).gaps
    assert (gap.started, gap.destination) == (left, rig.destination)
    assert "subscription" in gap.reason
    rig.sqs.delete_queue(QueueUrl=made["url"])
    with opened(rig, last_seen=left) as consumer:
        first = consumer.receive(1, 0.1).gaps[0]
    assert "tap queue had been removed" in first.reason


def test_being_away_for_longer_than_messages_are_kept_is_a_gap(rig: TopicRig) -> None:
    rig.config = rig.config_with(tap_retention_minutes=60)
    with opened(rig):
        pass
    left = now() - 2 * 3_600_000
    with opened(rig, last_seen=left) as consumer:
        [gap] = consumer.receive(1, 0.1).gaps
    assert gap.started == left
    assert abs(gap.ended - (now() - 3_600_000)) < 60_000
    with opened(rig, last_seen=now() - 1_800_000) as consumer:
        assert consumer.receive(1, 0.1).gaps == []


def test_messages_that_nearly_expired_are_a_sign_of_some_that_did() -> None:
    hour = 3_600_000
    gap = expired(previous=10 * hour, oldest=11 * hour, now=12 * hour - 1, keeps=hour)
    assert gap is not None
    assert isinstance(gap, Gap)
    assert (gap.started, gap.ended) == (10 * hour, 11 * hour)
    assert expired(10 * hour, 11 * hour, 11 * hour + 1, hour) is None
    assert expired(11 * hour, 10 * hour, 12 * hour, hour) is None
    assert expired(None, 10 * hour, 12 * hour, hour) is None
    assert expired(10 * hour, 11 * hour, 12 * hour, None) is None


def test_a_topic_that_is_no_longer_chosen_is_left(rig: TopicRig) -> None:
    other = rig.sns.create_topic(Name=f"{rig.name}-other")["TopicArn"]
    rig.config = rig.config_with(topics=[rig.destination, other])
    with opened(rig) as consumer:
        checkpoint = consumer.receive(1, 0.1).checkpoint
    assert set(checkpoint) == {rig.destination, other}
    rig.config = rig.config_with(topics=[other])
    with opened(rig, checkpoint=checkpoint) as consumer:
        assert rig.subscriptions() == set()
        assert consumer.receive(1, 0.1).checkpoint[rig.destination] == ""
        rig.sns.publish(TopicArn=other, Message="still here")
        [delivery] = receive_batch(consumer, 1).deliveries
    assert delivery.destination == other
    rig.adapter.remove_traces(rig.config, observation(installation=rig.installation))
    assert rig.traces() == set()
    assert rig.sns.list_subscriptions_by_topic(TopicArn=other)["Subscriptions"] == []
    rig.sns.delete_topic(TopicArn=other)


def test_an_event_bus_feeds_the_queue_by_a_rule(rig: TopicRig, moto: Cloud) -> None:
    events = moto.client("events")
    bus = f"shop-{rig.installation}"
    events.create_event_bus(Name=bus)
    rig.config = rig.config_with(topics=[], event_bus=bus)
    entry = {"EventBusName": bus, "Source": "shop.orders", "DetailType": "OrderPlaced"}
    with opened(rig) as consumer:
        found = {each.name: each for each in rig.adapter.discover(rig.config)}
        answer = events.put_events(Entries=[{**entry, "Detail": '{"order": 7}'}])
        [delivery] = collect(consumer, 1)
    assert delivery.destination.endswith(f":event-bus/{bus}")
    assert delivery.destination in found
    assert delivery.type == "OrderPlaced"
    assert delivery.message_id == answer["Entries"][0]["EventId"]
    assert delivery.event_time is not None
    assert json.loads(delivery.payload)["detail"] == {"order": 7}
    described = next(each for name, each in found.items() if name.endswith(f"/{bus}"))
    assert described.kind == "EventBridge bus"
    assert [link.kind for link in described.links] == ["rule"]
    rig.adapter.remove_traces(rig.config, observation(installation=rig.installation))
    assert events.list_rules(EventBusName=bus)["Rules"] == []
    assert rig.traces() == set()
    events.delete_event_bus(Name=bus)


def test_a_topic_is_discovered_with_its_queues(rig: TopicRig) -> None:
    url = rig.make_queue("-work")
    rig.sns.subscribe(TopicArn=rig.destination, Protocol="sqs", Endpoint=rig.arn(url))
    [topic] = (each for each in rig.adapter.discover(rig.config) if each.name == rig.destination)
    assert topic.kind == "SNS topic"
    assert [(link.to, link.kind) for link in topic.links] == [(f"{rig.name}-work", "subscription")]


def test_the_name_of_the_queue_is_one_that_a_rule_may_have_too() -> None:
    config = TopicRig.adapter.config()
    plain = observation(name="shop")
    assert tap_name(config, plain) == "eventhub-tap-a1b2c3d4-shop"  # type: ignore[arg-type]
    names = [
        tap_name(config, observation(name=name))  # type: ignore[arg-type]
        for name in ("Bestellungen für März", "x" * 100, "x" * 101, "a.b", "a b")
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 64 and name.isascii() and " " not in name for name in names)


def test_a_topic_deleted_behind_the_tap_is_noticed(
    rig: TopicRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.sqs.consumer._CHECK_EVERY", 0.0)
    with opened(rig) as consumer:
        checkpoint = consumer.receive(1, 0.1).checkpoint
        rig.sns.delete_topic(TopicArn=rig.destination)
        with pytest.raises(NotConnected, match=f"{rig.destination} was removed"):
            until(lambda: consumer.receive(1, 0.1) is None, "it is noticed")
    with (
        pytest.raises(PermanentFailure, match=rig.destination),
        opened(rig, last_seen=now(), checkpoint=checkpoint),
    ):
        pass
