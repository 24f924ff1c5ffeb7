"""Dead letters in a stream: read, and removed one by one."""

from collections.abc import Iterator

import pytest

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.dead_letters import DeadLetters
from eventhub.brokers.contract import Confirmed, Refused
from tests.brokers.redis_pubsub.server import RedisServer

STREAM = "orders.dead"


@pytest.fixture
def letters(redis_server: RedisServer) -> Iterator[DeadLetters]:
    config = RedisPubSubConfig(host="127.0.0.1", port=redis_server.port, dead_letters=[STREAM])
    made = DeadLetters(config)
    yield made
    made.close()
    with redis_server.client() as client:
        client.delete(STREAM)


def test_a_removed_letter_is_gone_and_the_others_stay(
    redis_server: RedisServer, letters: DeadLetters
) -> None:
    with redis_server.client() as client:
        for n in range(3):
            client.xadd(STREAM, {"payload": b"%d" % n})
    one, two, three = letters.peek(STREAM, 10)
    assert letters.remove([two]) == [Confirmed()]
    assert letters.peek(STREAM, 10) == [one, three]
    [again] = letters.remove([two])
    assert isinstance(again, Refused)


def test_an_entry_without_a_payload_is_told_whole(
    redis_server: RedisServer, letters: DeadLetters
) -> None:
    with redis_server.client() as client:
        client.xadd(STREAM, {"order": "4711", b"\xff": b"\xfe", "error": "no stock"})
    [letter] = letters.peek(STREAM, 10)
    assert b'"order":"4711"' in letter.delivery.payload
    assert letter.reason == "no stock"
    assert ("order", "4711") in letter.delivery.headers
    assert letter.delivery.broker_time == letter.died_at
