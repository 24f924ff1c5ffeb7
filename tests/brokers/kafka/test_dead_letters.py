"""Dead letters of Spring and of Kafka Connect: read in pages, left where they are."""

from collections.abc import Iterator

import pytest

from collectors.kafka.dead_letters import DeadLetters
from eventhub.brokers.contract import Refused
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.kafka.rig import KafkaRig, spring_headers
from tests.brokers.kafka.server import Broker


@pytest.fixture
def rig(kafka: Broker) -> KafkaRig:
    return KafkaRig(kafka)


@pytest.fixture
def letters(rig: KafkaRig) -> Iterator[DeadLetters]:
    made = rig.adapter.dead_letters(rig.config)
    yield made
    made.close()


def test_springs_letter_tells_what_happened(rig: KafkaRig, letters: DeadLetters) -> None:
    queue = rig.bury([b"1"]).queue
    [letter] = letters.peek(queue, 10)
    assert letter.exception == "com.acme.CardDeclined"
    assert letter.exception_message == "card declined"
    assert letter.stack_trace is not None
    assert letter.died_at == letter.delivery.event_time
    # Numbers stay the bytes that they were where they are no UTF-8, and a text of them where they
    # are: the same bytes when they are replayed.
    assert ("kafka_dlt-original-offset", "\0\0\0\0\0\0\x12g") in letter.delivery.headers


def test_connects_letter_tells_its_stage(rig: KafkaRig, letters: DeadLetters) -> None:
    name = f"dlq-{rig.destination}"
    rig.create(name)
    headers = {
        "__connect.errors.topic": rig.destination,
        "__connect.errors.stage": "VALUE_CONVERTER",
        "__connect.errors.exception.class.name": "org.apache.kafka.connect.errors.DataException",
        "__connect.errors.exception.message": "Converting byte[] to Kafka Connect data failed",
    }
    rig.send(name, [b"{"], headers=headers)
    [letter] = letters.peek(name, 10)
    assert (letter.origin, letter.reason) == (rig.destination, "VALUE_CONVERTER")
    assert letter.exception == "org.apache.kafka.connect.errors.DataException"


def test_pages_go_through_all_partitions(rig: KafkaRig, letters: DeadLetters) -> None:
    name = f"{rig.destination}-dlq"
    rig.create(name, partitions=3)
    for partition in (2, 0, 1):
        rig.send(
            name,
            [b"%d/%d" % (partition, n) for n in range(4)],
            partition=partition,
            headers=spring_headers(rig.destination, 1),
        )
    rig.truncate(name, before=2, partition=1)
    expected = [*(b"0/%d" % n for n in range(4)), b"1/2", b"1/3", *(b"2/%d" % n for n in range(4))]
    got: list[bytes] = []
    after = None
    while page := letters.peek(name, 3, after):
        assert len(page) <= 3
        got += [letter.delivery.payload for letter in page]
        after = page[-1].delivery.position
    assert got == expected
    assert letters.peek(name, 3)[0].delivery.position == "0/0"


def test_a_letter_without_headers_is_a_letter(rig: KafkaRig, letters: DeadLetters) -> None:
    rig.flood([b"1"])
    [letter] = letters.peek(rig.destination, 10)
    assert (letter.origin, letter.reason, letter.exception) == (None, None, None)


def test_a_topic_that_is_not_there_and_a_wrong_place_have_words(
    rig: KafkaRig, letters: DeadLetters
) -> None:
    with pytest.raises(PermanentFailure, match="no topic 'none'"):
        letters.peek("none", 1)
    with pytest.raises(PermanentFailure, match="no position"):
        letters.peek(rig.destination, 1, after="x")


def test_nothing_is_removed(rig: KafkaRig, letters: DeadLetters) -> None:
    queue = rig.bury([b"1"]).queue
    found = letters.peek(queue, 1)
    [outcome] = letters.remove(found)
    assert isinstance(outcome, Refused)
    letters.release(found)
    assert letters.peek(queue, 1) == found
