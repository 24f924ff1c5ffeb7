"""Discovery with the real structure, and depth with the rates that the counters give."""

from collections.abc import Iterator

import pytest

from collectors.activemq import ActiveMQ
from collectors.activemq.depth import DepthProbe
from collectors.activemq.jolokia import properties
from eventhub.brokers.contract import Depth, Destination, Link
from eventhub.brokers.errors import NotConnected
from tests.brokers.activemq.others import Listener, flood, message
from tests.brokers.activemq.rig import ActiveMQRig, call, create, remove
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import until


@pytest.fixture
def rig(server: ActiveMQServer) -> Iterator[ActiveMQRig]:
    made = ActiveMQRig(server)
    yield made
    made.remove()


def discovered(rig: ActiveMQRig) -> dict[str, Destination]:
    return {found.name: found for found in ActiveMQ().discover(rig.config)}


def depths(rig: ActiveMQRig, probe: DepthProbe, name: str) -> list[Depth]:
    return [found for found in probe.sample(1_000).samples if found.destination == name]


def test_a_virtual_topic_is_linked_to_its_queues(rig: ActiveMQRig) -> None:
    if not rig.classic:
        return
    topic = f"VirtualTopic.{rig.topic}"
    queue = f"Consumer.billing.{topic}"
    create(rig.server, topic, topic=True)
    create(rig.server, queue, topic=False)
    found = discovered(rig)
    assert found[f"topic://{topic}"].kind == "virtual topic"
    assert found[f"topic://{topic}"].links == (Link(queue, "virtual topic's queue"),)
    assert found[queue].kind == "queue"
    remove(rig.server, queue, topic=False)
    remove(rig.server, topic, topic=True)


def test_an_address_is_linked_to_its_subscriptions_and_diverts(rig: ActiveMQRig) -> None:
    if rig.classic:
        return
    create_queue = "createQueue(java.lang.String,java.lang.String,java.lang.String)"
    call(rig.server, create_queue, rig.topic, f"{rig.topic}.audit", "MULTICAST")
    work = rig.queue("work", [])
    name = f"to-work-{rig.installation}"
    texts = ",".join(["java.lang.String"] * 4)
    signature = f"createDivert({texts},boolean,java.lang.String,java.lang.String)"
    call(rig.server, signature, name, name, rig.topic, work, False, "price > 100", None)
    found = discovered(rig)
    queue = f"{rig.topic}::{rig.topic}.audit"
    assert found[rig.destination].links == (
        Link(queue, "subscription"),
        Link(work, "divert", "price > 100"),
    )
    assert found[queue].kind == "subscription queue"
    assert found[work].links == (Link("DLQ", "dead letters"),)
    call(rig.server, "destroyDivert(java.lang.String)", name)


def test_topics_with_a_common_beginning_are_offered_as_a_wildcard(rig: ActiveMQRig) -> None:
    create(rig.server, f"{rig.topic}.eu", topic=True)
    pattern = "topic://orders.>" if rig.classic else "topic://orders.#"
    assert pattern in discovered(rig)
    remove(rig.server, f"{rig.topic}.eu", topic=True)


def test_advisories_and_the_brokers_own_are_left_out(rig: ActiveMQRig) -> None:
    names = " ".join(discovered(rig))
    assert "Advisory" not in names
    assert "$sys" not in names
    assert "activemq.notifications" not in names


def test_rates_are_the_counters_growth_between_two_looks(rig: ActiveMQRig) -> None:
    queue = rig.queue("work", [b"1"])
    probe = DepthProbe(rig.config)
    [first] = depths(rig, probe, queue)
    assert (first.waiting, first.in_rate, first.out_rate) == (1, None, None)
    flood(rig.server, queue, [message(b"2"), message(b"3")])
    worker = Listener(rig.server, queue)
    until(lambda: len(worker.received()) == 3, "the worker gets all")

    def rated() -> bool:
        [found] = depths(rig, probe, queue)
        told = found.in_rate is not None and found.out_rate is not None
        return told and found.waiting == 0 and found.consumers == 1

    until(rated, "rates, once half a second is over")
    worker.close()
    probe.close()


def test_what_a_consumer_holds_is_in_flight(rig: ActiveMQRig) -> None:
    queue = rig.queue("work", [b"1", b"2", b"3"])
    letters = ActiveMQ().dead_letters(rig.config)
    held = letters.claim(queue, 2, 5.0)
    assert len(held) == 2
    probe = DepthProbe(rig.config)

    def told() -> bool:
        [found] = depths(rig, probe, queue)
        return found.in_flight == 2 and found.consumers == 1

    until(told, "two in flight")
    letters.close()
    until(lambda: depths(rig, probe, queue)[0].in_flight == 0, "they are back")
    probe.close()


def test_a_broker_that_jolokia_does_not_show_is_not_an_empty_one(rig: ActiveMQRig) -> None:
    wrong = rig.config_with(flavour="artemis" if rig.classic else "classic")
    wrong = wrong.model_copy(update={"jolokia_url": rig.server.jolokia_url})
    with pytest.raises(NotConnected, match="shows no ActiveMQ"):
        DepthProbe(wrong).sample(10)
    with pytest.raises(NotConnected, match="shows no ActiveMQ"):
        ActiveMQ().discover(wrong)


def test_names_of_mbeans_are_read_with_their_quotes() -> None:
    name = 'org.apache:address="a,b=\\"c\\"\\*",broker="x",type=Broker'
    assert properties(name) == {"address": 'a,b="c"*', "broker": "x", "type": "Broker"}
