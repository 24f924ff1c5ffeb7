"""Depth: the lag of groups, and what it costs the broker to ask."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from collectors.kafka.depth import DepthProbe
from eventhub.brokers.contract import Depth, Link
from tests.brokers.kafka.rig import KafkaRig
from tests.brokers.kafka.server import Broker
from tests.contracts.broker import until


@pytest.fixture
def rig(kafka: Broker) -> KafkaRig:
    return KafkaRig(kafka)


@pytest.fixture
def probe(rig: KafkaRig) -> Iterator[DepthProbe]:
    made = rig.adapter.depth(rig.config)
    yield made
    made.close()


def of(probe: DepthProbe, name: str) -> list[Depth]:
    found = [each for each in probe.sample(100_000).samples if each.destination == name]
    return sorted(found, key=lambda each: (each.group or "", each.partition or 0))


def test_lag_is_told_for_each_group_and_partition(rig: KafkaRig, probe: DepthProbe) -> None:
    name, one, two = (f"{word}-{uuid4().hex}" for word in ("wide", "a", "b"))
    rig.create(name, partitions=2)
    rig.send(name, [b"x"] * 10, partition=0)
    rig.send(name, [b"x"] * 4, partition=1)
    rig.commit(one, name, 0, 3)
    rig.commit(one, name, 1, 4)
    rig.commit(two, name, 0, 10)
    told = [(each.group, each.partition, each.waiting) for each in of(probe, name)]
    assert told == [(one, 0, 7), (one, 1, 0), (two, 0, 0)]
    assert {each.consumers for each in of(probe, name)} == {0}


def test_a_topic_that_no_group_reads_has_a_rate_and_no_depth(
    rig: KafkaRig, probe: DepthProbe
) -> None:
    rig.flood([b"x"] * 3)
    [first] = of(probe, rig.destination)
    assert (first.waiting, first.consumers, first.in_rate) == (None, 0, None)
    rig.flood([b"x"] * 50)
    [second] = of(probe, rig.destination)
    assert second.in_rate is not None
    assert second.in_rate > 0


def test_rates_are_what_came_and_what_was_committed(rig: KafkaRig, probe: DepthProbe) -> None:
    group = f"workers-{uuid4().hex}"
    rig.flood([b"x"] * 10)
    rig.commit(group, rig.destination, 0, 0)
    of(probe, rig.destination)
    rig.flood([b"x"] * 10)
    rig.commit(group, rig.destination, 0, 5)
    [told] = of(probe, rig.destination)
    assert told.waiting == 15
    assert told.in_rate == pytest.approx(2 * (told.out_rate or 0))


def test_letters_in_a_dead_letter_topic_wait(rig: KafkaRig, probe: DepthProbe) -> None:
    queue = rig.bury([b"1", b"2", b"3"]).queue
    [told] = of(probe, queue)
    assert (told.waiting, told.dead_letters, told.group) == (3, True, None)
    rig.truncate(queue, before=2)
    until(lambda: of(probe, queue)[0].waiting == 1, "two letters are gone")


def test_a_group_with_members_is_seen_and_left_alone(rig: KafkaRig, probe: DepthProbe) -> None:
    with rig.bystander() as member:
        rig.flood([b"1", b"2"])
        until(lambda: len(member.received()) == 2, "the member gets both")
        before = member.facts()
        for _ in range(3):
            [told] = of(probe, rig.destination)
            assert (told.waiting, told.consumers) == (0, 1)
        [found] = [
            each for each in rig.adapter.discover(rig.config) if each.name == rig.destination
        ]
        assert found.links == (Link(member.group, "consumer group", "1 member, 1 partition"),)
        assert member.facts() == before


def test_a_deleted_topic_goes_and_the_others_stay(rig: KafkaRig, probe: DepthProbe) -> None:
    other = rig.fill(2)
    assert [each.waiting for each in of(probe, other)] == [2]
    rig.delete(other)
    until(lambda: of(probe, other) == [], "the topic is gone")
    assert of(probe, rig.destination) != []
