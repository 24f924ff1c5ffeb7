"""The mode that takes messages: chosen explicitly, said plainly."""

import json
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from collectors.sqs import SQS, SQSConfig
from eventhub.brokers.contract import ReadSafety
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.sqs.rig import QueueRig, receive_all
from tests.brokers.sqs.server import Cloud
from tests.contracts.broker import collect, observation, opened, receive_batch


@pytest.fixture
def rig(elasticmq: Cloud) -> Iterator[QueueRig]:
    rig = QueueRig(elasticmq)
    rig.config = rig.config_with(mode="consume", queues=[rig.destination], tap_queue="")
    yield rig
    rig.remove()


def test_it_is_never_the_default_and_says_that_it_takes() -> None:
    first, second = SQS.capabilities.modes
    assert SQSConfig().mode == first.name == "tap"
    assert first.safety is ReadSafety.ADDS_A_BOUNDED_QUEUE
    assert second.safety is ReadSafety.TAKES_MESSAGES
    assert "TAKES" in second.effect
    assert "receive count" in second.effect


def test_what_is_settled_is_gone_and_the_rest_is_given_back(rig: QueueRig) -> None:
    rig.send(rig.url, [b"1", b"2", b"3"])
    with opened(rig) as consumer:
        got = receive_batch(consumer, 1)
        consumer.settle(got)
    left = receive_all(rig.sqs, rig.url, 2)
    bodies = {message["Body"].encode() for message in left} | {got.deliveries[0].payload}
    assert bodies == {b"1", b"2", b"3"}
    assert rig.waiting(rig.url) == 0


def test_each_delivery_names_its_queue(rig: QueueRig) -> None:
    other = rig.make_queue("-other")
    rig.config = rig.config_with(queues=[rig.destination, other])
    rig.send(rig.url, [b"1"])
    rig.send(other, [b"2"])
    with opened(rig) as consumer:
        got = {each.payload: each.destination for each in collect(consumer, 2)}
    assert got == {b"1": rig.destination, b"2": f"{rig.destination}-other"}


def test_an_envelope_stays_whole_because_a_replay_must_send_it(rig: QueueRig) -> None:
    envelope = {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:t", "Message": "inner"}
    body = json.dumps(envelope).encode()
    rig.send(rig.url, [body])
    with opened(rig) as consumer:
        [delivery] = collect(consumer, 1)
    assert delivery.payload == body
    assert delivery.destination == rig.destination


def test_messages_are_hidden_for_as_long_as_they_are_held(rig: QueueRig) -> None:
    """Five seconds of visibility timeout, renewed when half of it is over."""
    rig.config = rig.config_with(visibility_seconds=5)
    rig.send(rig.url, [b"1", b"2"])
    with opened(rig) as consumer:
        held = collect(consumer, 2, settle=False)
        first, *_ = (taken for _, taken in consumer._unsettled)  # type: ignore[attr-defined]
        ends = first.until
        while first.until == ends:
            assert consumer.receive(10, 0.1).deliveries == []
        assert first.until > ends + 1
    assert {delivery.payload for delivery in held} == {b"1", b"2"}


def test_deleting_the_source_leaves_the_queue(rig: QueueRig) -> None:
    rig.send(rig.url, [b"1"])
    rig.adapter.remove_traces(rig.config, observation(installation=rig.installation))
    assert rig.waiting(rig.url) == 1


def test_nothing_chosen_needs_a_person(rig: QueueRig) -> None:
    for config in (rig.config_with(queues=[]), rig.config_with(mode="tap")):
        consumer = rig.adapter.consumer(config, observation())
        with pytest.raises(PermanentFailure, match="is chosen"):
            consumer.open()
        consumer.close()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"topics": ["orders"]}, "given by its ARN"),
        ({"topics": ["arn:aws:sns:r:1:a", "arn:aws:sns:r:1:b"], "delivery": "raw"}, "envelope"),
        ({"authentication": "access key"}, "its ID and its secret"),
        ({"authentication": "profile"}, "Name the profile"),
        ({"authentication": "role"}, "by its ARN"),
        ({"authentication": "web identity", "role_arn": "arn:aws:iam::1:role/r"}, "token"),
        ({"endpoint_url": "localhost:9324"}, "http://"),
    ],
)
def test_a_configuration_that_cannot_work_says_why(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SQSConfig.model_validate(wrong)
