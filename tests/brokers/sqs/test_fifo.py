"""FIFO queues and topics keep the order of each group."""

from collections.abc import Iterator

import pytest

from eventhub.brokers.contract import Confirmed, Message, Refused
from tests.brokers.sqs.rig import QueueRig, TopicRig
from tests.brokers.sqs.server import Cloud
from tests.contracts.broker import (
    DEADLINE,
    claim,
    collect,
    mourning,
    observation,
    opened,
    publishing,
)


@pytest.fixture
def rig(elasticmq: Cloud) -> Iterator[QueueRig]:
    rig = QueueRig(elasticmq, fifo=True)
    yield rig
    rig.remove()


def test_a_groups_messages_come_in_the_order_of_their_sending(rig: QueueRig) -> None:
    """While some of a group are held, its next ones wait, so nothing piles up unsettled:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagegroupid-property.html"""
    sent = [b"%d" % n for n in range(100)]
    with opened(rig) as consumer, publishing(rig) as publisher:
        outcomes = publisher.publish([Message(each, key="eu") for each in sent], rig.target)
        assert {type(outcome) for outcome in outcomes} == {Confirmed}
        deliveries = collect(consumer, len(sent))
    assert [delivery.payload for delivery in deliveries] == sent
    assert {delivery.key for delivery in deliveries} == {"eu"}
    headers = dict(deliveries[0].headers)
    assert {"sqs.MessageDeduplicationId", "sqs.SequenceNumber"} <= headers.keys()


def test_what_was_not_settled_comes_again_in_its_order(rig: QueueRig) -> None:
    sent = [b"%d" % n for n in range(20)]
    rig.flood(sent)
    first = rig.adapter.consumer(rig.config, observation(installation=rig.installation))
    first.open()
    settled = first.receive(10, DEADLINE)
    first.settle(settled)
    unsettled = first.receive(10, DEADLINE).deliveries
    assert unsettled
    rig.abandon(first)
    done = len(settled.deliveries)
    with opened(rig) as second:
        again = collect(second, len(sent) - done)
    assert [delivery.payload for delivery in again] == sent[done:]
    assert all(delivery.redelivered for delivery in again[: len(unsettled)])


def test_two_messages_with_the_same_bytes_stay_two(rig: QueueRig) -> None:
    with opened(rig) as consumer, publishing(rig) as publisher:
        publisher.publish([Message(b"same"), Message(b"same")], rig.target)
        assert [each.payload for each in collect(consumer, 2)] == [b"same", b"same"]


def test_a_replay_that_sqs_takes_for_a_duplicate_is_not_confirmed(rig: QueueRig) -> None:
    """It would be dropped, and the dead letter removed: lost."""
    with opened(rig) as consumer, publishing(rig) as publisher:
        publisher.publish([Message(b"1", key="eu")], rig.target)
        [one] = collect(consumer, 1)
        again = Message(one.payload, key=one.key, message_id=one.message_id, headers=one.headers)
        [outcome] = publisher.publish([again], rig.target)
        assert isinstance(outcome, Refused)
        assert "duplicate" in outcome.reason
        fresh = Message(one.payload, key=one.key, message_id=one.message_id)
        [outcome] = publisher.publish([fresh], rig.target)
        assert isinstance(outcome, Confirmed)
        assert [each.payload for each in collect(consumer, 1)] == [b"1"]


def test_after_a_message_that_failed_none_of_a_later_batch_is_sent(rig: QueueRig) -> None:
    """Its group would be out of order."""
    bad = Message(b"bad", key="a group must have no spaces")
    messages = [Message(b"1"), bad, *(Message(b"%d" % n) for n in range(2, 30))]
    with publishing(rig) as publisher:
        outcomes = publisher.publish(messages, rig.target)
    assert isinstance(outcomes[1], Refused)
    assert all(isinstance(outcome, Refused) for outcome in outcomes[10:])
    assert "Not sent" in str(outcomes[10])


def test_dead_letters_can_be_given_back(rig: QueueRig) -> None:
    grave = rig.bury([b"1", b"2", b"3"])
    with mourning(rig) as letters:
        found = claim(letters, grave.queue, 3)
        assert {letter.origin for letter in found} == {grave.origin}
        assert [type(each) for each in letters.remove(found[:1])] == [Confirmed]
        letters.release(found[1:])
        left = claim(letters, grave.queue, 2)
        assert {each.delivery.payload for each in [*found[:1], *left]} == {b"1", b"2", b"3"}


def test_a_fifo_topic_is_tapped_by_a_fifo_queue(moto: Cloud) -> None:
    rig = TopicRig(moto, fifo=True)
    sent = [b"%d" % n for n in range(25)]
    with opened(rig) as consumer:
        assert all(name.endswith(".fifo") for name in rig.traces() if "eventhub" in name)
        rig.flood(sent)
        deliveries = collect(consumer, len(sent))
    assert [delivery.payload for delivery in deliveries] == sent
    assert {delivery.key for delivery in deliveries} == {"g"}
    rig.remove()
