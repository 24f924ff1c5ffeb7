"""The in-memory broker keeps the contract, and truncation of its log is a gap."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from eventhub.brokers.contract import Consumer, Message, StartFrom
from eventhub.brokers.memory import Memory, MemoryBroker, MemoryConfig
from eventhub.events.headers import HeaderValue
from tests.contracts.broker import BadSetting, BrokerContract, Rig, collect, opened, receive_batch

HEADER_VALUES: dict[str, HeaderValue] = {
    "none": None,
    "flag": True,
    "whole": 2**63,
    "real": 0.1,
    "text": "Grüße",
    "bytes": b"\xff\0",
    "decimal": Decimal("1.10"),
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "list": [1, ["two", b"3"]],
    "table": {"a": {"b": None}},
}


class MemoryBystander:
    def __init__(self, broker: MemoryBroker, destination: str) -> None:
        self._log = broker.logs[destination]
        self._from = self._log.end

    def received(self) -> list[bytes]:
        return [kept.message.payload for kept in self._log.kept[self._from :]]

    def facts(self) -> Mapping[str, object]:
        return {"first": self._log.first}


class MemoryRig(Rig):
    adapter = Memory()
    broker_name = "in this process"
    destination = target = "orders"
    missing_target = "nowhere"
    carries = frozenset(Message.__struct_fields__) - {"payload"}
    header_values = HEADER_VALUES
    in_this_process = True
    keeps_while_away = True

    def __init__(self) -> None:
        self.name = uuid4().hex
        self.broker = Memory.named(self.name)
        self.broker.create(self.destination)
        self.config = MemoryConfig(broker=self.name)
        self.bad_settings = {
            "unknown": BadSetting(MemoryConfig(broker="no-such"), "resolve", "no broker"),
        }

    def fill(self, count: int) -> str:
        name = uuid4().hex
        self.broker.create(name)
        self.broker.append(name, *(Message(b"%d" % n) for n in range(count)))
        return name

    def flood(self, payloads: list[bytes]) -> None:
        self.broker.append(self.destination, *(Message(payload) for payload in payloads))

    def abandon(self, consumer: Consumer) -> None:
        consumer.close()

    def restart(self) -> None:
        self.broker.stop()
        self.broker.start()

    @contextmanager
    def bystander(self) -> Iterator[MemoryBystander]:
        yield MemoryBystander(self.broker, self.destination)

    def traces(self) -> set[str]:
        return {*self.broker.settled, *self.broker.received}


@pytest.fixture
def rig() -> Iterator[MemoryRig]:
    made = MemoryRig()
    yield made
    del Memory.brokers[made.name]


class TestMemory(BrokerContract):
    @pytest.fixture
    def rig(self, rig: MemoryRig) -> Rig:
        return rig


def test_truncation_of_what_was_not_read_is_a_gap_with_its_count(rig: MemoryRig) -> None:
    with opened(rig) as consumer:
        rig.flood([b"1", b"2", b"3"])
        receive_batch(consumer, 1)
        rig.broker.truncate("orders", keep=1)
        received = consumer.receive(10, 1)
    assert [(gap.missed, gap.destination) for gap in received.gaps] == [(1, "orders")]
    assert [delivery.payload for delivery in received.deliveries] == [b"3"]


def test_a_checkpoint_goes_before_what_the_broker_heard_settled(rig: MemoryRig) -> None:
    rig.flood([b"0", b"1", b"2"])
    with opened(rig, checkpoint={"orders": "2"}) as consumer:
        [delivery] = collect(consumer, 1)
    assert (delivery.payload, delivery.position) == (b"2", "2")


def test_a_destination_that_appears_later_is_read_from_its_beginning(rig: MemoryRig) -> None:
    with opened(rig, start=StartFrom.NOW) as consumer:
        rig.broker.create("refunds")
        rig.broker.append("refunds", Message(b"first"))
        [delivery] = collect(consumer, 1)
    assert (delivery.destination, delivery.payload) == ("refunds", b"first")


def test_without_positions_it_is_like_a_queue(rig: MemoryRig) -> None:
    rig.config = MemoryConfig(broker=rig.name, positions=False)
    with opened(rig) as consumer:
        rig.flood([b"1"])
        received = consumer.receive(10, 1)
    assert received.checkpoint == {}
    with opened(rig) as consumer:
        [again] = collect(consumer, 1)
    assert (again.position, again.redelivered) == (None, True)


def test_a_waiting_consumer_wakes_for_a_message(rig: MemoryRig) -> None:
    with opened(rig) as consumer:
        later = threading.Timer(0.05, rig.flood, args=([b"1"],))
        later.start()
        received = consumer.receive(10, 20)
        later.join()
    assert [delivery.payload for delivery in received.deliveries] == [b"1"]
