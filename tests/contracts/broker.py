"""What every adapter must do. A test class inherits `BrokerContract` and gives it a `rig`."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Adapter,
    Confirmed,
    Consumer,
    Delivery,
    Gap,
    Message,
    Observation,
    Received,
    Refused,
    StartFrom,
    Verdict,
)
from eventhub.brokers.errors import NotConnected
from eventhub.events.headers import HeaderValue

__all__ = [
    "BadSetting",
    "BrokerContract",
    "Bystander",
    "Rig",
    "collect",
    "observation",
    "opened",
    "publish",
    "receive_batch",
    "until",
]

DEADLINE = 20.0
"""Seconds within which whatever a test waits for must have come."""


class BadSetting(NamedTuple):
    """A configuration that cannot work, and how the connection test must say so."""

    config: BrokerConfig
    step: str
    words: str
    """A text that the failed step's words or way out contain."""


class Bystander(Protocol):
    """Somebody else's consumer of the same destination, with whatever queue it needs."""

    def received(self) -> list[bytes]:
        """Payloads it got so far, a redelivered one twice."""

    def facts(self) -> Mapping[str, object]:
        """What the broker tells of it that looking must not change: depth, consumers…"""


class Rig(ABC):
    """One real broker, and on it a destination of this test's own."""

    adapter: Adapter[Any]
    installation: str = "a1b2c3d4"
    """Whose consumers these are; a rig has one of its own where a name on the broker is not to
    meet what the broker remembers of an earlier test."""
    config: BrokerConfig
    """Right settings; observes `destination`."""
    destination: str
    """What deliveries name as their destination."""
    target: str
    """What to publish to so that it arrives there."""
    missing_target: str | None
    """What the broker refuses to publish to; None where it takes everything."""
    carries: frozenset[str]
    """Names of the fields of `Message`, besides the payload, that the broker carries."""
    header_values: Mapping[str, HeaderValue]
    """A value of every type that the broker's headers can carry, by a name for it."""
    keeps_while_away: bool
    """Whether what is published while nobody observes is received later."""
    bad_settings: Mapping[str, BadSetting]

    @abstractmethod
    def flood(self, payloads: list[bytes]) -> None:
        """Publish to `target` as fast as the broker takes it; returns when it has all."""

    @abstractmethod
    def abandon(self, consumer: Consumer) -> None:
        """End its connection as a crash would: without a word to the broker."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the broker as a crash would, and start it again. What it kept, it keeps."""

    @abstractmethod
    def bystander(self) -> AbstractContextManager[Bystander]: ...

    @abstractmethod
    def traces(self) -> set[str]:
        """What observing has left on the broker: names of queues, groups…"""


class BrokerContract:
    """Inherit it, and add a fixture `rig`."""

    @pytest.fixture
    def rig(self) -> Rig:
        raise NotImplementedError

    # What goes in comes out

    def test_any_bytes_arrive_as_they_were(self, rig: Rig) -> None:
        @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(payloads=st.lists(st.binary(max_size=300), min_size=1, max_size=20))
        def arrive(payloads: list[bytes]) -> None:
            rig.flood(payloads)
            deliveries = collect(consumer, len(payloads))
            assert [delivery.payload for delivery in deliveries] == payloads
            assert {delivery.destination for delivery in deliveries} == {rig.destination}

        with opened(rig) as consumer:
            arrive()

    @pytest.mark.parametrize(
        "payload",
        [b"", b"\0", b"\xff\xfe not UTF-8 \0", bytes(range(256)) * 20_480, b"[" * 10_000],
        ids=["empty", "NUL", "not UTF-8", "5 MB", "nested"],
    )
    def test_an_odd_payload_arrives_whole(self, rig: Rig, payload: bytes) -> None:
        with opened(rig) as consumer:
            publish(rig, Message(payload))
            [delivery] = collect(consumer, 1)
        assert delivery.payload == payload

    def test_every_field_that_the_broker_carries_arrives(self, rig: Rig) -> None:
        message = _carried(
            rig,
            Message(
                b'{"order": 4711}',
                key="orders.eu",
                type="OrderPlaced",
                correlation_id="corr-1",
                message_id="id-1",
                content_type="application/json",
                content_encoding="utf-8",
                headers=[("tenant", "acme")],
            ),
        )
        with opened(rig) as consumer:
            publish(rig, message)
            [delivery] = collect(consumer, 1)
        for name in {"payload", *rig.carries} - {"headers"}:
            assert getattr(delivery, name) == getattr(message, name), name
        assert set(message.headers) <= set(delivery.headers)

    def test_every_type_of_header_value_arrives(self, rig: Rig) -> None:
        if not rig.header_values:
            assert "headers" not in rig.carries
            return
        headers = list(rig.header_values.items())
        with opened(rig) as consumer:
            publish(rig, Message(b"x", headers=headers))
            [delivery] = collect(consumer, 1)
        arrived = dict(delivery.headers)
        for name, value in headers:
            assert arrived[name] == value, name
            assert type(arrived[name]) is type(value), name

    def test_a_message_is_not_redelivered_without_a_reason(self, rig: Rig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"1", b"2", b"3"])
            deliveries = collect(consumer, 3)
            assert [delivery.redelivered for delivery in deliveries] == [False] * 3
            assert consumer.receive(10, 0.3).deliveries == []

    def test_receiving_returns_empty_after_its_time(self, rig: Rig) -> None:
        with opened(rig) as consumer:
            started = time.monotonic()
            received = consumer.receive(10, 0.3)
            took = time.monotonic() - started
        assert (received.deliveries, received.gaps) == ([], [])
        assert 0.25 < took < 1.5

    def test_a_batch_is_no_larger_than_asked_for(self, rig: Rig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"%d" % n for n in range(25)])
            sizes: list[int] = []
            while sum(sizes) < 25:
                received = consumer.receive(10, DEADLINE)
                assert received.deliveries
                sizes.append(len(received.deliveries))
                consumer.settle(received)
        assert max(sizes) <= 10

    # Nothing is lost

    def test_what_was_not_settled_comes_again_after_an_abrupt_end(self, rig: Rig) -> None:
        if not rig.adapter.capabilities.settles:
            return  # the gap test below says what such a broker owes
        first = rig.adapter.consumer(rig.config, observation(installation=rig.installation))
        first.open()
        rig.flood([b"%d" % n for n in range(20)])
        settled = receive_batch(first, 10)
        first.settle(settled)
        unsettled = collect(first, 10, settle=False)
        rig.abandon(first)
        with opened(rig, last_seen=_now()) as second:
            again = collect(second, 10)
        assert [delivery.payload for delivery in again] == [
            delivery.payload for delivery in unsettled
        ]
        assert all(delivery.redelivered for delivery in again)

    def test_many_unsettled_batches_stop_nothing_once_they_settle(self, rig: Rig) -> None:
        sent = [b"%d" % n for n in range(6_000)]
        got: list[bytes] = []
        with opened(rig) as consumer:
            rig.flood(sent)
            deadline = time.monotonic() + 2 * DEADLINE
            while len(got) < len(sent) and time.monotonic() < deadline:
                waiting = []
                while (received := consumer.receive(500, 0.5)).deliveries:
                    waiting.append(received)
                assert waiting, f"nothing more came after {len(got)}"
                for received in waiting:
                    got.extend(delivery.payload for delivery in received.deliveries)
                    consumer.settle(received)
        assert got == sent

    def test_what_came_while_away_is_received_or_is_a_gap(self, rig: Rig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"before"])
            collect(consumer, 1)
        left = _now()
        rig.flood([b"meanwhile"])
        with opened(rig, last_seen=left) as consumer:
            if rig.keeps_while_away:
                received = receive_batch(consumer, 1)
                assert [delivery.payload for delivery in received.deliveries] == [b"meanwhile"]
                assert received.gaps == []
                return
            [gap] = _first_gaps(consumer)
        assert gap.started == left
        assert left <= gap.ended <= _now()
        assert gap.reason

    def test_the_first_time_is_no_gap(self, rig: Rig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"1"])
            received = receive_batch(consumer, 1)
        assert received.gaps == []

    def test_after_a_broker_restart_a_new_consumer_gets_on(self, rig: Rig) -> None:
        first = rig.adapter.consumer(rig.config, observation(installation=rig.installation))
        first.open()
        rig.flood([b"before"])
        collect(first, 1)
        left = _now()
        rig.restart()
        with pytest.raises(NotConnected):
            until(lambda: first.receive(10, 0.2) is None, "the consumer notices the restart")
        first.close()
        with opened(rig, last_seen=left) as second:
            rig.flood([b"after"])
            deliveries = collect(second, 1)
        assert [delivery.payload for delivery in deliveries] == [b"after"]

    def test_a_closed_consumer_can_be_closed_again(self, rig: Rig) -> None:
        consumer = rig.adapter.consumer(rig.config, observation(installation=rig.installation))
        consumer.close()
        consumer.open()
        consumer.close()
        consumer.close()

    def test_keeping_alive_receives_nothing(self, rig: Rig) -> None:
        with opened(rig) as consumer:
            rig.flood([b"1", b"2"])
            consumer.keep_alive()
            assert [d.payload for d in collect(consumer, 2)] == [b"1", b"2"]

    # Where a history begins

    @pytest.mark.parametrize("start", list(StartFrom))
    def test_a_history_begins_where_it_was_asked_to(self, rig: Rig, start: StartFrom) -> None:
        if start not in rig.adapter.capabilities.modes[0].starts:
            return
        rig.flood([b"old"])
        old = _now()
        until(lambda: _now() > old, "a millisecond passes")
        start_time = _now()
        if start is not StartFrom.NOW:
            rig.flood([b"new"])
        with opened(rig, start=start, start_time=start_time) as consumer:
            if start is StartFrom.NOW:
                rig.flood([b"new"])
            got = [d.payload for d in receive_batch(consumer, 1).deliveries]
        assert got[0] == (b"old" if start is StartFrom.EARLIEST else b"new")

    # Looking never harms

    def test_looking_changes_nothing_for_others(self, rig: Rig) -> None:
        sent = [b"%d" % n for n in range(30)]
        with rig.bystander() as other:
            rig.flood(sent[:10])
            until(lambda: len(other.received()) >= 10, "the bystander gets 10")
            before = other.facts()
            with opened(rig) as consumer:
                rig.flood(sent[10:20])
                assert len(collect(consumer, 10)) == 10
                until(lambda: len(other.received()) >= 20, "the bystander gets 20")
                assert other.facts() == before
            rig.flood(sent[20:])
            until(lambda: len(other.received()) >= 30, "the bystander gets 30")
            assert other.received() == sent
            assert other.facts() == before

    def test_removing_the_traces_leaves_nothing(self, rig: Rig) -> None:
        before = rig.traces()
        with opened(rig) as consumer:
            rig.flood([b"1"])
            collect(consumer, 1, settle=False)
        rig.adapter.remove_traces(rig.config, observation(installation=rig.installation))
        assert rig.traces() == before
        rig.adapter.remove_traces(rig.config, observation(installation=rig.installation))

    # Around it

    def test_the_destination_is_discovered(self, rig: Rig) -> None:
        found = {destination.name: destination for destination in rig.adapter.discover(rig.config)}
        assert rig.destination in found
        assert found[rig.destination].kind

    def test_the_connection_test_is_all_right_with_right_settings(self, rig: Rig) -> None:
        steps = list(rig.adapter.check_connection(rig.config))
        assert [step for step in steps if step.verdict is not Verdict.OK] == []
        assert {"resolve", "connect"} <= {step.name for step in steps}
        assert rig.traces() == set()

    def test_each_bad_setting_has_words_of_its_own(self, rig: Rig) -> None:
        assert rig.bad_settings
        seen: set[str] = set()
        for name, bad in rig.bad_settings.items():
            started = time.monotonic()
            steps = list(rig.adapter.check_connection(bad.config))
            assert time.monotonic() - started < 5, name
            *good, failed = steps
            assert failed.verdict is Verdict.FAILED, name
            assert failed.name == bad.step, (name, failed)
            assert bad.words in f"{failed.words} {failed.way_out}", (name, failed)
            assert all(step.verdict is not Verdict.FAILED for step in good), name
            assert failed.words not in seen, name
            seen.add(failed.words)
            for secret in bad.config.split()[1].values():
                assert all(secret not in f"{step.words} {step.way_out}" for step in steps)

    def test_publishing_to_a_destination_is_confirmed(self, rig: Rig) -> None:
        with opened(rig):
            publisher = rig.adapter.publisher(rig.config)
            try:
                assert isinstance(publisher.publish(Message(b"1"), rig.target), Confirmed)
            finally:
                publisher.close()

    def test_publishing_to_a_missing_destination_is_refused(self, rig: Rig) -> None:
        if rig.missing_target is None:
            return
        publisher = rig.adapter.publisher(rig.config)
        try:
            outcome = publisher.publish(Message(b"1"), rig.missing_target)
            assert isinstance(outcome, Refused)
            assert outcome.reason
            with opened(rig):
                again = publisher.publish(Message(b"2"), rig.target)
            assert isinstance(again, Confirmed), "a refusal must not break the publisher"
        finally:
            publisher.close()


def observation(**more: Any) -> Observation:
    """What every test tells its consumer; the same name, so that a second one goes on."""
    return msgspec.structs.replace(
        Observation(source_id=1, name="contract", installation="a1b2c3d4"), **more
    )


@contextlib.contextmanager
def opened(rig: Rig, **more: Any) -> Iterator[Consumer]:
    told = observation(**{"installation": rig.installation, **more})
    consumer = rig.adapter.consumer(rig.config, told)
    consumer.open()
    try:
        yield consumer
    finally:
        consumer.close()


def publish(rig: Rig, *messages: Message) -> None:
    publisher = rig.adapter.publisher(rig.config)
    try:
        for message in messages:
            outcome = publisher.publish(message, rig.target)
            assert isinstance(outcome, Confirmed), outcome
    finally:
        publisher.close()


def collect(consumer: Consumer, count: int, *, settle: bool = True) -> list[Delivery]:
    """Receive until there are `count` deliveries; one too many is an error."""
    deliveries: list[Delivery] = []
    deadline = time.monotonic() + DEADLINE
    while len(deliveries) < count:
        assert time.monotonic() < deadline, f"only {len(deliveries)} of {count} came"
        received = consumer.receive(count - len(deliveries) + 1, 0.2)
        deliveries.extend(received.deliveries)
        if settle and received.deliveries:
            consumer.settle(received)
    assert len(deliveries) == count
    return deliveries


def receive_batch(consumer: Consumer, count: int) -> Received:
    """One batch of exactly `count`, waited for."""
    deadline = time.monotonic() + DEADLINE
    batch = consumer.receive(count, 0.2)
    while len(batch.deliveries) < count and time.monotonic() < deadline:
        more = consumer.receive(count - len(batch.deliveries), 0.2)
        batch = msgspec.structs.replace(
            more,
            deliveries=[*batch.deliveries, *more.deliveries],
            gaps=[*batch.gaps, *more.gaps],
            token=more.token if more.deliveries else batch.token,
        )
    assert len(batch.deliveries) == count
    return batch


def _first_gaps(consumer: Consumer) -> list[Gap]:
    gaps: list[Gap] = []
    deadline = time.monotonic() + DEADLINE
    while not gaps:
        assert time.monotonic() < deadline, "no gap was told"
        gaps.extend(consumer.receive(10, 0.2).gaps)
    return gaps


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {what}"
        time.sleep(0.01)


def _carried(rig: Rig, message: Message) -> Message:
    """The message without what this broker cannot carry."""
    bare = {
        name: () if name == "headers" else None
        for name in message.__struct_fields__
        if name != "payload" and name not in rig.carries
    }
    return msgspec.structs.replace(message, **bare)


def _now() -> int:
    return time.time_ns() // 1_000_000
