"""Browsing a queue: nothing is taken, and a message that waits is one event."""

from collections.abc import Iterator

import pytest

from collectors.activemq import ActiveMQ, ActiveMQConfig
from collectors.activemq.browse import Browser
from eventhub.brokers.contract import Consumer, Delivery, StartFrom, Verdict
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.activemq.others import Listener, flood, message
from tests.brokers.activemq.rig import ActiveMQRig, depth_of
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import observation, until

CLASSICS_PAGE = 400
"""`maxBrowsePageSize`: what Classic shows of a queue."""


@pytest.fixture
def rig(server: ActiveMQServer) -> Iterator[ActiveMQRig]:
    made = ActiveMQRig(server)
    yield made
    made.remove()


def browsing(rig: ActiveMQRig, queue: str) -> ActiveMQConfig:
    return rig.config_with(mode="browse", destinations=[queue], browse_seconds=1)


def collect(consumer: Consumer, count: int) -> list[Delivery]:
    found: list[Delivery] = []

    def all_came() -> bool:
        found.extend(consumer.receive(100, 0.2).deliveries)
        return len(found) >= count

    until(all_came, f"{count} came")
    return found


def test_what_waits_is_one_event_however_often_it_is_looked_at(rig: ActiveMQRig) -> None:
    queue = rig.queue("waiting", [b"1", b"2", b"2"])
    told = observation(start=StartFrom.EARLIEST)
    consumer = ActiveMQ().consumer(browsing(rig, queue), told)
    consumer.open()
    found = collect(consumer, 3)
    assert [each.payload for each in found] == [b"1", b"2", b"2"]
    assert {each.destination for each in found} == {queue}
    assert len({each.position for each in found}) == 3
    assert consumer.receive(100, 2.5).deliveries == []
    flood(rig.server, queue, [message(b"3", id="3")])
    assert [each.payload for each in collect(consumer, 1)] == [b"3"]
    consumer.close()
    second = ActiveMQ().consumer(browsing(rig, queue), told)
    second.open()
    # The same positions again: the store knows that it has these events.
    assert [each.position for each in collect(second, 4)][:3] == [each.position for each in found]
    second.close()


def test_a_history_that_begins_now_leaves_out_what_waited(rig: ActiveMQRig) -> None:
    queue = rig.queue("waiting", [b"old"])
    consumer = ActiveMQ().consumer(browsing(rig, queue), observation())
    consumer.open()
    flood(rig.server, queue, [message(b"new", id="new")])
    assert [each.payload for each in collect(consumer, 1)] == [b"new"]
    consumer.close()


def test_messages_without_an_id_are_told_apart(rig: ActiveMQRig) -> None:
    queue = rig.queue("waiting", [])
    flood(rig.server, queue, [message(b"same"), message(b"same"), message(b"other")])
    told = observation(start=StartFrom.EARLIEST)
    consumer = ActiveMQ().consumer(browsing(rig, queue), told)
    consumer.open()
    found = collect(consumer, 3)
    assert len({each.position for each in found}) == 3
    assert consumer.receive(10, 1.5).deliveries == []
    consumer.close()


def test_browsing_takes_nothing_and_counts_as_no_delivery(rig: ActiveMQRig) -> None:
    sent = [b"%d" % n for n in range(20)]
    queue = rig.queue("waiting", sent)
    consumer = ActiveMQ().consumer(browsing(rig, queue), observation(start=StartFrom.EARLIEST))
    consumer.open()
    assert len(collect(consumer, 20)) == 20
    assert depth_of(rig.server, queue) == 20
    worker = Listener(rig.server, queue)
    # A redelivered one would say so: none has been delivered before.
    until(lambda: worker.received() == sent, "the worker gets all, in their order")
    consumer.close()
    worker.close()


def test_classic_shows_a_page_and_artemis_all(rig: ActiveMQRig) -> None:
    queue = rig.queue("waiting", [b"%d" % n for n in range(CLASSICS_PAGE + 200)])
    consumer = ActiveMQ().consumer(browsing(rig, queue), observation(start=StartFrom.EARLIEST))
    consumer.open()
    found = collect(consumer, CLASSICS_PAGE)
    while more := consumer.receive(1_000, 0.1).deliveries:
        found.extend(more)
    consumer.close()
    assert len(found) == (CLASSICS_PAGE if rig.classic else CLASSICS_PAGE + 200)


def test_the_connection_test_looks_without_taking(rig: ActiveMQRig) -> None:
    queue = rig.queue("waiting", [b"1"])
    steps = list(ActiveMQ().check_connection(browsing(rig, queue)))
    assert [step for step in steps if step.verdict is not Verdict.OK] == []
    assert depth_of(rig.server, queue) == 1


def test_a_closed_browser_says_so(rig: ActiveMQRig) -> None:
    consumer = Browser(browsing(rig, "waiting.none"), observation())
    with pytest.raises(NotConnected):
        consumer.receive(1, 0.1)
    with pytest.raises(PermanentFailure, match="No queue"):
        Browser(rig.config_with(mode="browse", destinations=[]), observation()).open()
