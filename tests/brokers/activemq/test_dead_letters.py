"""Dead letters of both brokers: where they died and why, and the way back."""

from collections.abc import Iterator
from typing import Any

import pytest

from collectors.activemq import ActiveMQ
from collectors.activemq.verdicts import Verdict, letter
from eventhub.brokers.contract import Confirmed, DeadLetter, DeadLetters, Delivery, Message, Refused
from eventhub.events.headers import Header
from tests.brokers.activemq.others import Listener, flood, give_up, message
from tests.brokers.activemq.rig import ActiveMQRig, depth_of
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import claim, until


@pytest.fixture
def rig(server: ActiveMQServer) -> Iterator[ActiveMQRig]:
    made = ActiveMQRig(server)
    yield made
    made.remove()


@pytest.fixture
def letters(rig: ActiveMQRig) -> Iterator[DeadLetters]:
    found = ActiveMQ().dead_letters(rig.config)
    yield found
    found.close()


def of(found: list[DeadLetter], origin: str) -> list[DeadLetter]:
    return [each for each in found if each.origin == origin]


def shared_grave(rig: ActiveMQRig) -> str:
    return "ActiveMQ.DLQ" if rig.classic else "DLQ"


def test_a_letter_in_the_shared_queue_tells_where_it_died(
    rig: ActiveMQRig, letters: DeadLetters
) -> None:
    work = rig.queue("work", [b"1"])
    give_up(rig.server, work, 1)
    until(lambda: of(letters.peek(shared_grave(rig), 400), work), "the letter lies there")
    [found] = of(letters.peek(shared_grave(rig), 400), work)
    assert found.delivery.payload == b"1"
    assert found.delivery.message_id == f"{work}-0"


def test_a_letter_that_expired_says_so(rig: ActiveMQRig, letters: DeadLetters) -> None:
    """Expiry is noticed when somebody asks for the message."""
    work = rig.queue("work", [])
    flood(rig.server, work, [message(b"late", id=f"{work}-late", ttl=0.05)])
    grave = "ActiveMQ.DLQ" if rig.classic else "ExpiryQueue"
    worker = Listener(rig.server, work)
    until(lambda: of(letters.peek(grave, 400), work) or worker.received(), "it expires")
    worker.close()
    [found] = of(letters.peek(grave, 400), work)
    assert found.reason == "expired"


def test_a_letter_goes_back_to_its_origin_and_then_leaves(
    rig: ActiveMQRig, letters: DeadLetters
) -> None:
    grave = rig.bury([b'{"order": 4711}'])
    [found] = claim(letters, grave.queue, 1)
    publisher = ActiveMQ().publisher(rig.config)
    fields = {name: getattr(found.delivery, name) for name in Message.__struct_fields__}
    assert found.origin is not None
    assert publisher.publish([Message(**fields)], found.origin) == [Confirmed()]
    publisher.close()
    assert letters.remove([found]) == [Confirmed()]
    assert letters.claim(grave.queue, 1, 0.1) == []
    worker = Listener(rig.server, found.origin)
    until(lambda: worker.received() == [b'{"order": 4711}'], "the worker gets it again")
    worker.close()


def test_releasing_is_no_delivery_and_closing_gives_back(
    rig: ActiveMQRig, letters: DeadLetters
) -> None:
    grave = rig.bury([b"1", b"2"])
    for _ in range(5):  # more often than Artemis delivers before it gives up
        letters.release(claim(letters, grave.queue, 2))
    held = claim(letters, grave.queue, 2)
    assert not any(each.delivery.redelivered for each in held)
    letters.close()
    again = ActiveMQ().dead_letters(rig.config)
    assert [each.delivery.payload for each in claim(again, grave.queue, 2)] == [b"1", b"2"]
    [outcome] = again.remove(held[:1])
    assert isinstance(outcome, Refused), "the claim ended with its connection"
    again.close()
    assert depth_of(rig.server, grave.queue.rpartition("::")[2]) == 2


def test_a_large_letter_is_claimed_whole(rig: ActiveMQRig, letters: DeadLetters) -> None:
    large = b"x" * 2_000_000
    grave = rig.bury([large])
    [seen] = letters.peek(grave.queue, 10)
    [found] = claim(letters, grave.queue, 1)
    assert seen.delivery.payload == found.delivery.payload == large
    letters.remove([found])


def _letter(headers: list[Header], cause: str | None = None, **more: Any) -> DeadLetter:
    told = Verdict(None, cause) if cause else None
    return letter(
        Delivery(**{"destination": "DLQ.work", "payload": b"", **more}, headers=headers), told
    )


def test_the_cause_that_a_jms_client_gives_is_taken_apart() -> None:
    """As ActiveMQMessageConsumer of Classic's client writes it."""
    cause = (
        "java.lang.Throwable: Delivery[7] exceeds redelivery policy limit:RedeliveryPolicy"
        " {destination = null, maximumRedeliveries = 6, preDispatchCheck = true},"
        " cause:java.lang.IllegalStateException: no such article"
    )
    found = _letter([("dlqDeliveryFailureCause", cause)])
    assert found.reason == "Delivery[7] exceeds redelivery policy limit"
    assert found.attempts == 7
    assert found.exception == "java.lang.IllegalStateException"
    assert found.exception_message == "no such article"
    assert found == _letter([("dlqDeliveryFailureCause", cause)], None)
    plain = _letter([], cause.replace("java.lang.IllegalStateException: no such article", "null"))
    assert (plain.attempts, plain.exception) == (7, None)


@pytest.mark.parametrize(
    ("headers", "queue", "origin"),
    [
        ([("_AMQ_ORIG_ADDRESS", "a"), ("_AMQ_ORIG_QUEUE", "a")], "DLQ", "a"),
        ([("_AMQ_ORIG_ADDRESS", "a"), ("_AMQ_ORIG_QUEUE", "q")], "DLQ", "a::q"),
        ([], "DLQ.orders", "orders"),
        ([], "ActiveMQ.DLQ.Queue.orders", "orders"),
        ([], "ActiveMQ.DLQ.Topic.orders", "topic://orders"),
        ([("NServiceBus.FailedQ", "billing")], "errors", "billing"),
        ([], "ActiveMQ.DLQ", None),
    ],
)
def test_the_origin_is_told_by_headers_or_by_the_name(
    headers: list[Header], queue: str, origin: str | None
) -> None:
    assert _letter(headers, destination=queue).origin == origin
