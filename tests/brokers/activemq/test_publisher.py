"""What the broker says to a message, one by one."""

from collections.abc import Iterator

import pytest

from eventhub.brokers.contract import Confirmed, Message, Refused
from tests.brokers.activemq.rig import ActiveMQRig, depth_of, remove
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import publishing


@pytest.fixture
def rig(server: ActiveMQServer) -> Iterator[ActiveMQRig]:
    made = ActiveMQRig(server)
    yield made
    made.remove()


def test_a_queue_that_is_full_refuses_the_message(rig: ActiveMQRig) -> None:
    """Artemis with `address-full-policy` FAIL; Classic makes the producer wait instead."""
    if rig.classic:
        return
    queue = f"full.{rig.installation}"
    with publishing(rig) as publisher:
        outcomes = publisher.publish([Message(b"%d" % n) for n in range(6)], queue)
        assert isinstance(outcomes[0], Confirmed)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert refused
        assert "full" in refused[0].reason
        assert isinstance(publisher.publish([Message(b"x")], rig.target)[0], Confirmed)
    remove(rig.server, queue, topic=False)


def test_what_amqp_cannot_carry_is_refused_alone(rig: ActiveMQRig) -> None:
    messages = [
        Message(b"1"),
        Message(b"2", headers=[("large", 2**70)]),
        Message(b"3", key=b"\xff"),
        Message(b"4", content_type="Grüße"),
        Message(b"no text \xff", headers=[("amqp.body", "string")]),
        Message(b"no section", headers=[("amqp.body", "sections")]),
        Message(b"5", headers=[("amqp.user-id", "no bytes")]),
        Message(b"6"),
    ]
    with publishing(rig) as publisher:
        outcomes = publisher.publish(messages, rig.target)
    assert [isinstance(outcome, Confirmed) for outcome in outcomes] == [True, *[False] * 6, True]
    assert len(set(outcomes[1:7])) == 6, "each in its own words"


def test_one_publisher_sends_to_many_targets(rig: ActiveMQRig) -> None:
    queues = [rig.queue("work", []) for _ in range(3)]
    with publishing(rig) as publisher:
        for _ in range(2):
            for queue in [*queues, f"queue://{queues[0]}"]:
                assert publisher.publish([Message(b"1")], queue) == [Confirmed()]
    assert [depth_of(rig.server, queue) for queue in queues] == [4, 2, 2]
