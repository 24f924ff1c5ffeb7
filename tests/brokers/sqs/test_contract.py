"""Amazon SQS keeps the contract, on ElasticMQ and, with SNS, on moto. Both are stand-ins."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.brokers.contract import Confirmed, Delivery, Message, Refused, StartFrom
from tests.brokers.sqs.rig import QueueRig, SQSRig, TopicRig
from tests.brokers.sqs.server import Cloud
from tests.contracts.broker import (
    DEADLINE,
    BrokerContract,
    Rig,
    claim,
    collect,
    mourning,
    observation,
    opened,
    publishing,
    receive_batch,
    until,
)

FITS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\t\n\r\x7f"),
    min_size=1,
    max_size=300,
).filter(lambda text: "\ufffe" not in text and "\uffff" not in text)

ODD = {
    b"": "empty",
    b"a\0": "U+0000",
    b"\xff\xfe": "not UTF-8",
    "\ufffe".encode(): "U+FFFE",
    b"x" * 5 * 1024 * 1024: "5242880 bytes are more",
    b"[" * 10_000: None,
}
"""Why SQS cannot carry a payload; None where it can."""


class SQSContract(BrokerContract):
    """SQS carries Unicode text, so the tests of arbitrary bytes are replaced by those of every text
    that it carries, and of what it must refuse
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html)."""

    many, saturation = 500, 2_500

    def test_any_bytes_arrive_as_they_were(self, rig: Rig) -> None:
        @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(texts=st.lists(FITS, min_size=1, max_size=20))
        def arrive(texts: list[str]) -> None:
            sent = [text.encode() for text in texts]
            rig.flood(sent)
            deliveries = collect(consumer, len(sent))
            assert sorted(payloads(deliveries)) == sorted(sent)
            assert {delivery.destination for delivery in deliveries} == {rig.destination}

        with opened(rig) as consumer:
            arrive()

    def test_an_odd_payload_arrives_whole(self, rig: Rig) -> None:  # type: ignore[override]
        """Or is refused in words, alone. All in one: opening and closing takes a second."""
        with opened(rig) as consumer, publishing(rig) as publisher:
            outcomes = publisher.publish([Message(payload) for payload in ODD], rig.target)
            for (payload, why), outcome in zip(ODD.items(), outcomes, strict=True):
                if why is None:
                    assert isinstance(outcome, Confirmed), payload
                else:
                    assert isinstance(outcome, Refused), why
                    assert why in outcome.reason
            fine = [payload for payload, why in ODD.items() if why is None]
            assert sorted(payloads(collect(consumer, len(fine)))) == sorted(fine)

    def test_a_dead_letter_tells_why_and_where_it_died(self, rig: Rig) -> None:
        grave = rig.bury([b'{"order": 1}', "Grüße".encode()])
        with mourning(rig) as letters:
            found = claim(letters, grave.queue, 2)
        assert [each.delivery.payload for each in found] == [b'{"order": 1}', "Grüße".encode()]
        for letter in found:
            assert letter.delivery.destination == grave.queue
            assert letter.origin == grave.origin
            assert letter.reason == grave.reason
            assert letter.attempts == grave.attempts

    # A standard queue promises no order, so the tests that look at it compare without it:
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html

    def test_what_was_not_settled_comes_again_after_an_abrupt_end(self, rig: Rig) -> None:
        first = rig.adapter.consumer(rig.config, observation(installation=rig.installation))
        first.open()
        rig.flood([b"%d" % n for n in range(20)])
        first.settle(receive_batch(first, 10))
        unsettled = collect(first, 10, settle=False)
        rig.abandon(first)
        with opened(rig, last_seen=time.time_ns() // 1_000_000) as second:
            again = collect(second, 10)
        assert set(payloads(again)) == set(payloads(unsettled))
        assert {each.position for each in again} == {each.position for each in unsettled}
        assert all(delivery.redelivered for delivery in again)

    def test_many_unsettled_batches_stop_nothing_once_they_settle(self, rig: Rig) -> None:
        sent = [b"%d" % n for n in range(self.saturation)]
        got: list[bytes] = []
        with opened(rig) as consumer:
            rig.flood(sent)
            deadline = time.monotonic() + 2 * DEADLINE
            while len(got) < len(sent) and time.monotonic() < deadline:
                waiting = []
                while (received := consumer.receive(500, 0.5)).deliveries:
                    waiting.append(received)
                for received in waiting:
                    got.extend(payloads(received.deliveries))
                    consumer.settle(received)
        assert sorted(got) == sorted(sent)

    def test_keeping_alive_receives_nothing(self, rig: Rig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"1", b"2"])
            consumer.keep_alive()
            assert set(payloads(collect(consumer, 2))) == {b"1", b"2"}

    def test_publishing_confirms_each_of_many_in_order(self, rig: Rig) -> None:
        sent = [b"%d" % n for n in range(self.many)]
        with opened(rig) as consumer, publishing(rig) as publisher:
            outcomes = publisher.publish([Message(payload) for payload in sent], rig.target)
            assert len(outcomes) == len(sent)
            assert all(isinstance(outcome, Confirmed) for outcome in outcomes), set(outcomes)
            assert sorted(payloads(collect(consumer, len(sent)))) == sorted(sent)

    def test_a_message_that_is_too_large_is_refused_alone(self, rig: Rig) -> None:
        assert rig.too_large is not None
        messages = [Message(b"before"), Message(b"x" * rig.too_large), Message(b"after")]
        with opened(rig) as consumer, publishing(rig) as publisher:
            before, large, after = publisher.publish(messages, rig.target)
            assert isinstance(before, Confirmed)
            assert isinstance(large, Refused)
            assert isinstance(after, Confirmed)
            assert set(payloads(collect(consumer, 2))) == {b"before", b"after"}


class TestPreparedQueue(SQSContract):
    @pytest.fixture
    def rig(self, elasticmq: Cloud) -> Iterator[SQSRig]:
        rig = QueueRig(elasticmq, wait_seconds=0)
        yield rig
        rig.remove()

    @pytest.mark.parametrize("start", [StartFrom.NOW])
    def test_a_history_begins_where_it_was_asked_to(self, rig: Rig, start: StartFrom) -> None:
        """What already waits in a queue that was prepared for EventHub was meant for it: it is
        received, not thrown away."""
        rig.flood([b"old"])
        with opened(rig, start=start) as consumer:
            rig.flood([b"new"])
            assert set(payloads(collect(consumer, 2))) == {b"old", b"new"}

    def test_looking_changes_nothing_for_others(self, rig: Rig) -> None:
        """The first ten wait in the prepared queue too, when EventHub comes."""
        sent = [b"%d" % n for n in range(30)]
        with rig.bystander() as other:
            rig.flood(sent[:10])
            until(lambda: len(other.received()) >= 10, "the bystander gets 10")
            before = other.facts()
            with opened(rig) as consumer:
                rig.flood(sent[10:20])
                assert len(collect(consumer, 20)) == 20
                until(lambda: len(other.received()) >= 20, "the bystander gets 20")
                assert other.facts() == before
            rig.flood(sent[20:])
            until(lambda: len(other.received()) >= 30, "the bystander gets 30")
            assert other.received() == sent
            assert other.facts() == before


class TestTopic(SQSContract):
    many, saturation = 60, 120  # moto passes on and deletes about fifty a second

    @pytest.fixture
    def rig(self, moto: Cloud) -> Iterator[SQSRig]:
        rig = TopicRig(moto)
        yield rig
        rig.remove()


def payloads(deliveries: list[Delivery]) -> list[bytes]:
    return [delivery.payload for delivery in deliveries]
