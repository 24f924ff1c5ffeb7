"""Discovery, depth and dead letters: the structure of a namespace."""

import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage

from collectors.azure_service_bus import AzureServiceBus
from collectors.azure_service_bus.administration import Administration
from eventhub.brokers.contract import Confirmed, Link, Message, Refused
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.azure_service_bus.rig import LOCK_SECONDS, ServiceBusRig
from tests.contracts.broker import claim, collect, mourning, opened, publishing

ADAPTER = AzureServiceBus()


def test_topics_tell_their_subscriptions_and_rules(rig: ServiceBusRig) -> None:
    paths = {name: f"{rig.destination}/Subscriptions/{name}" for name in ("all", "eu", "sql")}
    for path in paths.values():
        rig.namespace.create(path)
    rig.namespace.add_rule(
        paths["eu"], "only", "CorrelationFilter",
        "<Label>OrderPlaced</Label><Properties><KeyValueOfstringanyType><Key>region</Key>"
        '<Value>eu</Value></KeyValueOfstringanyType></Properties>',
    )  # fmt: skip
    rig.namespace.api._call(
        "DELETE", f"{rig.destination}/subscriptions/eu/rules/$Default?api-version=2021-05"
    )
    found = {each.name: each for each in ADAPTER.discover(rig.config_with())}
    links = {link.to: link for link in found[rig.destination].links}
    assert links[paths["all"]] == Link(paths["all"], "subscription", "everything")
    assert links[paths["eu"]].detail == "sys.Label = 'OrderPlaced' AND region = 'eu'"
    assert found[paths["eu"]].kind == "subscription"
    dead = found[f"{paths['eu']}/$DeadLetterQueue"]
    assert (dead.kind, dead.dead_letters) == ("dead-letter queue", True)
    assert found[paths["eu"]].links[0] == Link(dead.name, "dead-lettering", "after 10 deliveries")
    assert next(iter(found.values())).kind == "topic"


def test_rules_decide_what_a_subscription_gets(rig: ServiceBusRig) -> None:
    """The stand-in's own filters, which the tap's true rule rests on."""
    path = f"{rig.destination}/Subscriptions/eu"
    rig.namespace.create(path)
    rig.namespace.add_rule(path, "eu", "SqlFilter", "<SqlExpression>region = 'eu'</SqlExpression>")
    rig.namespace.api._call(
        "DELETE", f"{rig.destination}/subscriptions/eu/rules/$Default?api-version=2021-05"
    )
    rig.namespace.send(
        rig.target,
        ServiceBusMessage(b"1", application_properties={"region": "eu"}),
        ServiceBusMessage(b"2", application_properties={"region": "us"}),
    )
    assert rig.namespace.subscription(rig.destination, "eu").counts.active == 1


def test_depth_has_dead_letters_and_scheduled_messages(rig: ServiceBusRig) -> None:
    grave = rig.bury([b"1", b"2"])
    queue = rig.queue()
    later = datetime.now(UTC) + timedelta(hours=1)
    rig.namespace.send(queue, ServiceBusMessage(b"1", scheduled_enqueue_time_utc=later))
    probe = ADAPTER.depth(rig.config_with())
    samples = probe.sample(1_000).samples
    probe.close()
    [dead] = [each for each in samples if each.destination == grave.queue]
    assert (dead.waiting, dead.dead_letters) == (2, True)
    waiting = {each.group: each.waiting for each in samples if each.destination == queue}
    assert waiting == {None: 0, "scheduled": 1}


def test_more_entities_than_a_page_of_the_api_are_all_sampled(rig: ServiceBusRig) -> None:
    names = {rig.queue() for _ in range(105)}
    probe = ADAPTER.depth(rig.config_with())
    started = time.monotonic()
    depths = probe.sample(1_000)
    took = time.monotonic() - started
    probe.close()
    assert names <= {each.destination for each in depths.samples}
    assert took < 5


def test_depth_without_the_right_to_manage_says_so(rig: ServiceBusRig) -> None:
    key = rig.server.connection_string("listen", "listen-secret")
    probe = ADAPTER.depth(rig.config_with(connection_string=key))
    with pytest.raises(PermanentFailure, match="Manage"):
        probe.sample(10)
    probe.close()


def test_a_reason_given_by_the_consumer_is_told(rig: ServiceBusRig) -> None:
    queue = rig.fill(1)
    with (
        rig.namespace.client() as client,
        client.get_queue_receiver(queue, prefetch_count=1, keep_alive=0) as receiver,
    ):
        [message] = receiver.receive_messages(1, max_wait_time=20)
        receiver.dead_letter_message(message, "BadAddress", "No such street")
    with mourning(rig) as letters:
        [letter] = letters.peek(f"{queue}/$DeadLetterQueue", 10)
    assert (letter.reason, letter.exception_message) == ("BadAddress", "No such street")
    assert letter.origin == queue


def test_a_claim_that_ran_out_cannot_be_removed(rig: ServiceBusRig) -> None:
    grave = rig.bury([b"1"])
    with mourning(rig) as letters:
        [letter] = claim(letters, grave.queue, 1)
        time.sleep(LOCK_SECONDS + 0.2)  # the lock has to run out, and nobody tells when
        [outcome] = letters.remove([letter])
        assert isinstance(outcome, Refused)
        [again] = claim(letters, grave.queue, 1)
        assert letters.remove([again]) == [Confirmed()]
        assert isinstance(letters.remove([again])[0], Refused)


def test_a_dead_letter_goes_back_to_its_origin_as_it_was(rig: ServiceBusRig) -> None:
    grave = rig.bury([b"1"])
    with mourning(rig) as letters:
        [letter] = claim(letters, grave.queue, 1)
        assert letter.origin is not None
        names = Message.__struct_fields__
        again = Message(**{name: getattr(letter.delivery, name) for name in names})
        with opened(rig) as consumer, publishing(rig) as publisher:
            assert publisher.publish([again], letter.origin) == [Confirmed()]
            [arrived] = collect(consumer, 1)
        assert letters.remove([letter]) == [Confirmed()]
        assert letters.peek(grave.queue, 10) == []
    assert arrived.payload == letter.delivery.payload
    assert arrived.headers == letter.delivery.headers


def test_the_administration_api_survives_an_idle_connection(rig: ServiceBusRig) -> None:
    api: Administration = rig.namespace.api
    list(api.queues())
    assert api._connection is not None
    # as the other side does after some minutes
    api._connection.sock.shutdown(socket.SHUT_RDWR)
    assert list(api.topics())
