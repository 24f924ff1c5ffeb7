"""Batches, their order, and what the broker refuses."""

import pytest

from collectors.azure_service_bus import AzureServiceBus
from collectors.azure_service_bus.publisher import Publisher
from eventhub.brokers.contract import Confirmed, Message, Refused
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.azure_service_bus.rig import ServiceBusRig
from tests.contracts.broker import collect, opened, publishing

ADAPTER = AzureServiceBus()


def test_many_batches_in_flight_keep_their_order(rig: ServiceBusRig) -> None:
    sent = [b"%06d" % n + b"x" * 20_000 for n in range(150)]
    with opened(rig) as consumer, publishing(rig) as publisher:
        outcomes = publisher.publish([Message(payload) for payload in sent], rig.target)
        assert outcomes == [Confirmed()] * 150
        assert [each.payload for each in collect(consumer, 150)] == sent


def test_each_session_gets_batches_of_its_own(rig: ServiceBusRig) -> None:
    messages = [
        Message(b"%d" % n, headers=[("servicebus.session_id", f"s{n // 2}")]) for n in range(6)
    ]
    with opened(rig) as consumer, publishing(rig) as publisher:
        assert publisher.publish(messages, rig.target) == [Confirmed()] * 6
        assert [each.key for each in collect(consumer, 6)] == ["s0", "s0", "s1", "s1", "s2", "s2"]


def test_what_cannot_be_carried_is_refused_alone(rig: ServiceBusRig) -> None:
    messages = [Message(b"1"), Message(b"2", headers=[("a", [1])]), Message(b"3")]
    with opened(rig) as consumer, publishing(rig) as publisher:
        one, two, three = publisher.publish(messages, rig.target)
        assert isinstance(two, Refused)
        assert "a list or a table" in two.reason
        assert [one, three] == [Confirmed()] * 2
        assert [each.payload for each in collect(consumer, 2)] == [b"1", b"3"]


def test_a_full_queue_refuses_and_the_publisher_goes_on(rig: ServiceBusRig) -> None:
    queue = rig.queue(MaxSizeInMegabytes="1")
    with publishing(rig) as publisher:
        assert publisher.publish([Message(b"x" * 900_000)], queue) == [Confirmed()]
        [refused] = publisher.publish([Message(b"x" * 200_000)], queue)
        assert isinstance(refused, Refused)
        assert "maximum entity size" in refused.reason
        assert publisher.publish([Message(b"small")], queue) == [Confirmed()]


def test_without_the_right_to_send_each_is_refused(rig: ServiceBusRig) -> None:
    config = rig.config_with(
        connection_string=rig.server.connection_string("listen", "listen-secret")
    )
    with publishing(rig, config) as publisher:
        outcomes = publisher.publish([Message(b"1"), Message(b"2")], rig.target)
    assert all(isinstance(each, Refused) and "Send" in each.reason for each in outcomes)


def test_a_wrong_key_is_a_failure_for_a_person(rig: ServiceBusRig) -> None:
    config = rig.config_with(connection_string=rig.server.connection_string(secret="wrong"))
    with publishing(rig, config) as publisher, pytest.raises(PermanentFailure, match="refused"):
        publisher.publish([Message(b"1")], rig.target)


def test_subscriptions_take_no_messages(rig: ServiceBusRig) -> None:
    with publishing(rig) as publisher:
        [refused] = publisher.publish([Message(b"1")], f"{rig.target}/Subscriptions/billing")
    assert isinstance(refused, Refused)


def test_a_restarted_broker_is_connected_to_again(rig: ServiceBusRig) -> None:
    publisher = Publisher(rig.config_with())
    with opened(rig):
        assert publisher.publish([Message(b"1")], rig.target) == [Confirmed()]
        rig.restart()
        assert publisher.publish([Message(b"2")], rig.target) == [Confirmed()]
    publisher.close()
