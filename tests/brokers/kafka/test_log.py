"""Reading the log: where it goes on, what is new, what is gone, and what is a gap."""

import time
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewPartitions

from eventhub.brokers.contract import StartFrom
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.kafka.rig import KafkaRig
from tests.brokers.kafka.seen import count, seen
from tests.brokers.kafka.server import KafkaServer
from tests.contracts.broker import observation, opened
from tests.servers.proxy import Proxy


def now() -> int:
    return time.time_ns() // 1_000_000


# Where it goes on


def test_the_checkpoint_is_told_before_anything_came_and_goes_on_there(rig: KafkaRig) -> None:
    """Else a source that starts now and stops at once would lose what came in between."""
    part = f"{rig.destination}/0"
    rig.flood([b"old"])
    with opened(rig) as consumer:
        begun = seen(consumer, lambda so_far: part in so_far.checkpoint)
    assert begun.offset(part) == "1"
    rig.flood([b"1", b"2"])
    with opened(rig, checkpoint=begun.checkpoint, last_seen=now()) as consumer:
        first = seen(consumer, count(2))
    assert first.payloads == [b"1", b"2"]
    assert [delivery.position for delivery in first.deliveries] == ["0/1", "0/2"]
    rig.flood([b"3"])
    with opened(rig, checkpoint={**begun.checkpoint, **first.checkpoint}) as consumer:
        again = seen(consumer, count(1))
    assert again.payloads == [b"3"]
    assert first.gaps == again.gaps == []


def test_a_topic_that_appears_later_is_read_from_its_beginning(rig: KafkaRig) -> None:
    family = uuid4().hex
    rig.create(f"{family}.a")
    rig.config = rig.with_(topics=[f"{family}.*"])
    with opened(rig) as consumer:
        first = seen(consumer, lambda so_far: f"{family}.a/0" in so_far.checkpoint)
        rig.create(f"{family}.b")
        rig.send(f"{family}.b", [b"1"])
        assert first.drain(consumer, count(1)).payloads == [b"1"]
    rig.create(f"{family}.c")
    rig.send(f"{family}.c", [b"2"])
    with opened(rig, checkpoint=first.checkpoint) as consumer:
        assert seen(consumer, count(1)).payloads == [b"2"]


def test_a_topic_that_is_chosen_later_begins_where_the_source_does(rig: KafkaRig) -> None:
    with opened(rig) as consumer:
        first = seen(consumer, lambda so_far: f"{rig.destination}/0" in so_far.checkpoint)
    other = f"payments.{uuid4().hex}"
    rig.create(other)
    rig.send(other, [b"long ago"])
    rig.config = rig.with_(topics=[rig.destination, other])
    with opened(rig, checkpoint=first.checkpoint) as consumer:
        seen(consumer, lambda so_far: so_far.offset(f"{other}/0") == "1")
        rig.send(other, [b"new"])
        assert seen(consumer, count(1)).payloads == [b"new"]


def test_a_partition_that_is_added_is_read_from_its_beginning(rig: KafkaRig) -> None:
    with opened(rig) as consumer:
        first = seen(consumer, lambda so_far: so_far.checkpoint)
        more = NewPartitions(rig.destination, 2)
        rig.server.admin.create_partitions([more])[rig.destination].result(20)
        rig.send(rig.destination, [b"1"], partition=1)
        first.drain(consumer, count(1))
    assert first.deliveries[0].position == "1/0"
    assert first.gaps == []


def test_a_time_before_the_first_and_after_the_last_record_begins_there(rig: KafkaRig) -> None:
    rig.flood([b"1"])
    with opened(rig, start=StartFrom.TIME, start_time=0) as consumer:
        assert seen(consumer, count(1)).payloads == [b"1"]
    with opened(rig, start=StartFrom.TIME, start_time=now() + 3_600_000) as consumer:
        rig.flood([b"2"])
        assert seen(consumer, count(1)).payloads == [b"2"]


def test_kafkas_own_topics_are_observed_only_by_name(rig: KafkaRig) -> None:
    rig.commit(f"group-{uuid4().hex}", rig.destination, 0, 0)
    rig.config = rig.with_(topics=["__consumer_*", rig.destination])
    with opened(rig) as consumer:
        told = seen(consumer, lambda so_far: so_far.checkpoint).checkpoint
    assert not any(part.startswith("__") for part in told)
    rig.config = rig.with_(topics=["__consumer_offsets"])
    with opened(rig) as consumer:
        seen(consumer, lambda so_far: "__consumer_offsets/0" in so_far.checkpoint)


# What is gone


def test_a_log_that_was_cut_while_away_is_a_gap_with_its_exact_number(rig: KafkaRig) -> None:
    with opened(rig) as consumer:
        rig.flood([b"0", b"1"])
        first = seen(consumer, count(2))
    rig.flood([b"%d" % n for n in range(2, 10)])
    rig.truncate(rig.destination, before=7)
    left = now()
    with opened(rig, checkpoint=first.checkpoint, last_seen=left) as consumer:
        rest = seen(consumer, count(3))
    assert rest.payloads == [b"7", b"8", b"9"]
    [gap] = rest.gaps
    assert (gap.missed, gap.destination, gap.started) == (5, rig.destination, left)
    assert "retention" in gap.reason
    with opened(rig, checkpoint={**first.checkpoint, **rest.checkpoint}) as consumer:
        rig.flood([b"10"])
        assert seen(consumer, count(1)).gaps == []


def test_a_log_that_is_shorter_than_it_was_is_a_gap(rig: KafkaRig) -> None:
    rig.flood([b"0", b"1"])
    with opened(rig) as consumer:
        first = seen(consumer, lambda so_far: so_far.checkpoint)
    further = {**first.checkpoint, f"{rig.destination}/0": "500"}
    with opened(rig, checkpoint=further) as consumer:
        rest = seen(consumer, count(2))
    [gap] = rest.gaps
    assert (gap.missed, gap.destination) == (None, rig.destination)
    assert rest.payloads == [b"0", b"1"]


def test_a_topic_that_was_made_again_is_read_whole(rig: KafkaRig) -> None:
    """Its offsets begin anew, and may have passed the old ones before anybody looks."""
    rig.flood([b"old"])
    with opened(rig) as consumer:
        first = seen(consumer, lambda so_far: so_far.checkpoint)
    rig.remake(rig.destination)
    rig.flood([b"1", b"2", b"3"])
    with opened(rig, checkpoint=first.checkpoint) as consumer:
        rest = seen(consumer, count(3))
        assert rest.payloads == [b"1", b"2", b"3"]
        [gap] = rest.gaps
        assert "made again" in gap.reason
        rig.remake(rig.destination)
        rig.flood([b"4"])
        rest.drain(consumer, count(4))
    assert rest.payloads[3:] == [b"4"]


def test_a_deleted_topic_does_not_end_the_others(rig: KafkaRig) -> None:
    other = f"payments.{uuid4().hex}"
    rig.create(other)
    rig.config = rig.with_(topics=[rig.destination, other])
    with opened(rig) as consumer:
        told = seen(consumer, lambda so_far: f"{other}/0" in so_far.checkpoint)
        rig.delete(other)
        end = time.monotonic() + 1
        told.drain(consumer, lambda _: time.monotonic() > end)
        rig.flood([b"1"])
        told.drain(consumer, count(1))
    assert told.payloads == [b"1"]


# Transactions


def test_aborted_and_open_transactions_are_not_seen(rig: KafkaRig) -> None:
    name = f"tx-{uuid4().hex}"
    producer = Producer(
        {"bootstrap.servers": rig.server.address, "transactional.id": name, "log_level": 0}
    )
    producer.init_transactions(20)
    with opened(rig) as consumer:
        producer.begin_transaction()
        producer.produce(rig.destination, b"aborted")
        assert producer.flush(20) == 0
        assert consumer.receive(10, 0.5).deliveries == []
        producer.abort_transaction(20)
        producer.begin_transaction()
        producer.produce(rig.destination, b"committed")
        producer.commit_transaction(20)
        told = seen(consumer, count(1))
        assert told.payloads == [b"committed"]
        # The markers of both transactions take an offset each, and no record tells of them. Were
        # they not counted as read, their removal would look like a gap.
        told.drain(consumer, lambda so_far: so_far.offset(f"{rig.destination}/0") == "4")
    rig.truncate(rig.destination, before=4)
    with opened(rig, checkpoint=told.checkpoint) as consumer:
        rig.flood([b"after"])
        rest = seen(consumer, count(1))
    assert (rest.payloads, rest.gaps) == ([b"after"], [])


# What a person must do


def test_no_topic_needs_a_person(rig: KafkaRig) -> None:
    consumer = rig.adapter.consumer(rig.with_(topics=[]), observation())
    with pytest.raises(PermanentFailure, match="No topic is chosen"):
        consumer.open()
    consumer.close()


def test_a_topic_that_does_not_exist_yet_is_waited_for_and_not_made(rig: KafkaRig) -> None:
    name = f"later.{uuid4().hex}"
    rig.config = rig.with_(topics=[name])
    with opened(rig) as consumer:
        assert consumer.receive(10, 0.5).deliveries == []
        assert name not in rig.topics()
        rig.create(name)
        rig.send(name, [b"1"])
        assert seen(consumer, count(1)).payloads == [b"1"]


def test_a_frozen_connection_is_noticed(rig: KafkaRig, node: KafkaServer) -> None:
    with Proxy(rig.proxied_port) as proxy:
        config = rig.through(proxy.port)
        assert config is not None
        consumer = rig.adapter.consumer(config, observation())
        consumer.open()
        proxy.freeze()
        with pytest.raises(NotConnected):
            seen(consumer, lambda _: False)
        consumer.close()
    rig.close()
