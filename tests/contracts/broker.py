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
    DeadLetter,
    DeadLetters,
    Delivery,
    Gap,
    Message,
    Mode,
    Observation,
    Publisher,
    Received,
    Refused,
    StartFrom,
    Unknown,
    Verdict,
)
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.events.headers import HeaderValue
from tests.contracts.victim import SETTLED, UNSETTLED, victim
from tests.servers.proxy import Proxy

__all__ = [
    "BadSetting",
    "BrokerContract",
    "Bystander",
    "Grave",
    "Rig",
    "claim",
    "collect",
    "observation",
    "opened",
    "publish",
    "publishing",
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


class Grave(NamedTuple):
    """A dead-letter queue of this test's own, and what must be told of each letter in it."""

    queue: str
    """Its name, as `DeadLetters` takes it and discovery gives it."""
    origin: str | None
    """The target where the letters died; None where the broker does not tell."""
    reason: str | None
    attempts: int | None


class Rig(ABC):
    """One real broker, and on it a destination of this test's own."""

    adapter: Adapter[Any]
    broker_name: str
    """The server's own name and version, for the table at the end; a stand-in says that it is
    one: "Apache Kafka 4.0.2", "a peer of our own (stand-in)"."""
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
    in_this_process: bool = False
    """Whether the broker ends with this process, so that none of another one can reach it."""
    keeps_while_away: bool
    """Whether what is published while nobody observes is received later."""
    bad_settings: Mapping[str, BadSetting]
    too_large: int | None = None
    """Bytes of a payload that the broker refuses; None where it takes any that a test can make."""

    @property
    def mode(self) -> Mode:
        """In which `config` observes."""
        return self.adapter.capabilities.mode(getattr(self.config, "mode", None))

    @abstractmethod
    def fill(self, count: int) -> str:
        """Leave `count` messages waiting where nobody reads them, and return the destination
        (or, where only a group has a depth, `destination` behind its group) as `Depth` names it."""

    def bury(self, payloads: list[bytes]) -> Grave:
        """Send these to a consumer that gives them up for good; returns when all lie in the
        dead-letter queue. Only asked of adapters with `Capabilities.dead_letters`."""
        raise NotImplementedError

    def through(self, port: int) -> BrokerConfig | None:
        """`config`, but by way of this port of 127.0.0.1, where a `tests.servers.proxy` passes on
        to `proxied_port`; None where the client cannot be sent through one."""
        return None

    def impatient(self) -> BrokerConfig:
        """`config`, but so that what a killed collector held comes again soon."""
        return self.config

    proxied_port: int = 0

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

    @pytest.fixture(autouse=True)
    def named_in_the_table(self, request: pytest.FixtureRequest, rig: Rig) -> None:
        """`tests/brokers/conftest.py` prints at the end what ran against which server."""
        request.node.user_properties.append(("broker", (rig.adapter.title, rig.broker_name)))

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
        assert all(header in delivery.headers for header in message.headers)

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
        if not rig.mode.settles:
            return  # the gap test below says what such a broker owes
        first = rig.adapter.consumer(rig.config, observation(installation=rig.installation))
        first.open()
        rig.flood([b"%d" % n for n in range(20)])
        settled = receive_batch(first, 10)
        first.settle(settled)
        unsettled = collect(first, 10, settle=False)
        rig.abandon(first)
        with opened(rig, last_seen=_now(), checkpoint=settled.checkpoint) as second:
            again = collect(second, 10)
        assert [delivery.payload for delivery in again] == [
            delivery.payload for delivery in unsettled
        ]
        # A log knows positions, and not who has read them before.
        assert all(each.redelivered or each.position is not None for each in again)

    def test_a_killed_collector_loses_nothing_that_it_had_not_settled(self, rig: Rig) -> None:
        if not rig.mode.settles:
            return  # the checkpoint is stored with the events
        if rig.in_this_process:
            pytest.skip("what ends with this process cannot outlive a killed one")
        with victim(rig.adapter.kind, rig.impatient(), rig.installation) as killed:
            rig.flood([b"%d" % n for n in range(SETTLED + UNSETTLED)])
            unsettled, checkpoint = killed.received()
            killed.kill()
        with opened(rig, last_seen=_now(), checkpoint=checkpoint) as second:
            again: list[bytes] = []
            deadline = time.monotonic() + DEADLINE
            # A broker may not have heard of what was settled a moment before.
            while not set(unsettled) <= set(again):
                assert time.monotonic() < deadline, f"only {again} came of {unsettled}"
                received = second.receive(100, 0.2)
                again.extend(delivery.payload for delivery in received.deliveries)
                second.settle(received)

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
            kept = receive_batch(consumer, 1)
            consumer.settle(kept)
        left = _now()
        rig.flood([b"meanwhile"])
        with opened(rig, last_seen=left, checkpoint=kept.checkpoint) as consumer:
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
        kept = receive_batch(first, 1)
        first.settle(kept)
        left = _now()
        rig.restart()
        with pytest.raises(NotConnected):
            until(lambda: first.receive(10, 0.2) is None, "the consumer notices the restart")
        first.close()
        with opened(rig, last_seen=left, checkpoint=kept.checkpoint) as second:
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
        if start not in rig.mode.starts:
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

    # Publishing

    def test_publishing_confirms_each_of_many_in_order(self, rig: Rig) -> None:
        sent = [b"%d" % n for n in range(500)]
        with opened(rig) as consumer, publishing(rig) as publisher:
            outcomes = publisher.publish([Message(payload) for payload in sent], rig.target)
            assert len(outcomes) == len(sent)
            assert all(isinstance(outcome, Confirmed) for outcome in outcomes), set(outcomes)
            assert [delivery.payload for delivery in collect(consumer, len(sent))] == sent

    def test_publishing_nothing_says_nothing(self, rig: Rig) -> None:
        with publishing(rig) as publisher:
            assert publisher.publish([], rig.target) == []

    def test_publishing_to_a_missing_destination_is_refused(self, rig: Rig) -> None:
        if rig.missing_target is None:
            return
        with publishing(rig) as publisher:
            outcomes = publisher.publish([Message(b"1"), Message(b"2")], rig.missing_target)
            assert len(outcomes) == 2
            for outcome in outcomes:
                assert isinstance(outcome, Refused)
                assert outcome.reason
            with opened(rig):
                [again] = publisher.publish([Message(b"3")], rig.target)
            assert isinstance(again, Confirmed), "a refusal must not break the publisher"

    def test_a_message_that_is_too_large_is_refused_alone(self, rig: Rig) -> None:
        if rig.too_large is None:
            return
        messages = [Message(b"before"), Message(b"x" * rig.too_large), Message(b"after")]
        with opened(rig) as consumer, publishing(rig) as publisher:
            before, large, after = publisher.publish(messages, rig.target)
            assert isinstance(before, Confirmed)
            assert isinstance(large, Refused)
            assert isinstance(after, Confirmed)
            assert [d.payload for d in collect(consumer, 2)] == [b"before", b"after"]

    def test_an_answer_that_never_comes_is_unknown(self, rig: Rig) -> None:
        with Proxy(rig.proxied_port) as proxy:
            config = rig.through(proxy.port)
            if config is None:
                return
            with opened(rig), publishing(rig, config) as publisher:
                [first] = publisher.publish([Message(b"1")], rig.target)
                assert isinstance(first, Confirmed)
                proxy.cut_answers()
                outcomes = publisher.publish([Message(b"2"), Message(b"3")], rig.target)
                assert isinstance(outcomes[0], Unknown)
                # The cut may come before the second is sent: then it is certain that it was not.
                assert isinstance(outcomes[1], Unknown | Refused)

    # Connections that fail

    def test_a_cut_connection_is_noticed(self, rig: Rig) -> None:
        with Proxy(rig.proxied_port) as proxy:
            config = rig.through(proxy.port)
            if config is None:
                return
            told = observation(installation=rig.installation)
            consumer = rig.adapter.consumer(config, told)
            consumer.open()
            rig.flood([b"1"])
            collect(consumer, 1)
            proxy.cut()
            with pytest.raises(NotConnected):
                until(lambda: consumer.receive(10, 0.2) is None, "the consumer notices the cut")
            consumer.close()

    def test_a_connection_test_through_a_frozen_network_ends(self, rig: Rig) -> None:
        with Proxy(rig.proxied_port) as proxy:
            config = rig.through(proxy.port)
            if config is None:
                return
            proxy.freeze()
            started = time.monotonic()
            *_, failed = rig.adapter.check_connection(config)
            assert time.monotonic() - started < 5
            assert failed.verdict is Verdict.FAILED

    # Depth

    def test_depth_is_what_waits(self, rig: Rig) -> None:
        destination = rig.fill(7)
        probe = rig.adapter.depth(rig.config)
        try:
            until(
                lambda: (
                    7
                    in [
                        sample.waiting
                        for sample in probe.sample(1_000).samples
                        if sample.destination == destination
                    ]
                ),
                f"a depth of 7 at {destination}",
            )
        finally:
            probe.close()

    def test_depth_says_what_it_leaves_out(self, rig: Rig) -> None:
        rig.fill(1)
        rig.fill(2)
        probe = rig.adapter.depth(rig.config)
        try:
            until(lambda: probe.sample(1_000).left_out == 0, "all are sampled")
            until(lambda: len(probe.sample(1_000).samples) >= 2, "two samples")
            few = probe.sample(1)
        finally:
            probe.close()
        assert len(few.samples) == 1
        assert few.left_out >= 1

    def test_sampling_depth_changes_nothing_for_others(self, rig: Rig) -> None:
        with rig.bystander() as other:
            rig.flood([b"1", b"2"])
            until(lambda: len(other.received()) >= 2, "the bystander gets 2")
            before = other.facts()
            probe = rig.adapter.depth(rig.config)
            try:
                probe.sample(1_000)
                assert other.facts() == before
            finally:
                probe.close()
            assert other.received() == [b"1", b"2"]

    # Dead letters

    def test_a_dead_letter_tells_why_and_where_it_died(self, rig: Rig) -> None:
        if rig.adapter.capabilities.dead_letters is None:
            return
        grave = rig.bury([b'{"order": 1}', b"\xff\0"])
        with mourning(rig) as letters:
            found = look(rig, letters, grave.queue, 2)
        assert [letter.delivery.payload for letter in found] == [b'{"order": 1}', b"\xff\0"]
        for letter in found:
            assert letter.delivery.destination == grave.queue
            assert letter.origin == grave.origin
            assert letter.reason == grave.reason
            assert letter.attempts == grave.attempts

    def test_peeking_takes_nothing(self, rig: Rig) -> None:
        access = rig.adapter.capabilities.dead_letters
        if access is None:
            return
        grave = rig.bury([b"1", b"2", b"3"])
        with mourning(rig) as letters:
            if not access.peeks:
                with pytest.raises(PermanentFailure):
                    letters.peek(grave.queue, 10)
                return
            first = letters.peek(grave.queue, 10)
            assert letters.peek(grave.queue, 10) == first
            [one] = letters.peek(grave.queue, 1)
            rest = letters.peek(grave.queue, 10, after=one.delivery.position)
            assert [one, *rest] == first
            assert [letter.delivery.payload for letter in first] == [b"1", b"2", b"3"]

    def test_only_removed_letters_are_gone(self, rig: Rig) -> None:
        access = rig.adapter.capabilities.dead_letters
        if access is None:
            return
        grave = rig.bury([b"1", b"2", b"3"])
        with mourning(rig) as letters:
            if not access.claims:
                with pytest.raises(PermanentFailure):
                    letters.claim(grave.queue, 1, 0.1)
                return
            one, two, three = claim(letters, grave.queue, 3)
            assert [type(outcome) for outcome in letters.remove([one])] == [Confirmed]
            letters.release([two])
            assert [d.delivery.payload for d in claim(letters, grave.queue, 1)] == [b"2"]
            assert three.delivery.payload == b"3"
        with mourning(rig) as letters:
            left = claim(letters, grave.queue, 2)
            assert {letter.delivery.payload for letter in left} == {b"2", b"3"}
            assert all(isinstance(outcome, Confirmed) for outcome in letters.remove(left))
        with mourning(rig) as letters:
            assert letters.claim(grave.queue, 10, 0.3) == []

    def test_the_dead_letter_queue_is_recognised(self, rig: Rig) -> None:
        if rig.adapter.capabilities.dead_letters is None:
            return
        grave = rig.bury([b"1"])
        found = {destination.name: destination for destination in rig.adapter.discover(rig.config)}
        assert found[grave.queue].dead_letters


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


@contextlib.contextmanager
def publishing(rig: Rig, config: BrokerConfig | None = None) -> Iterator[Publisher]:
    publisher = rig.adapter.publisher(config or rig.config)
    try:
        yield publisher
    finally:
        publisher.close()


def publish(rig: Rig, *messages: Message) -> None:
    with publishing(rig) as publisher:
        for outcome in publisher.publish(messages, rig.target):
            assert isinstance(outcome, Confirmed), outcome


@contextlib.contextmanager
def mourning(rig: Rig) -> Iterator[DeadLetters]:
    letters = rig.adapter.dead_letters(rig.config)
    try:
        yield letters
    finally:
        letters.close()


def look(rig: Rig, letters: DeadLetters, queue: str, count: int) -> list[DeadLetter]:
    """The letters of a queue, without taking them where that is possible."""
    access = rig.adapter.capabilities.dead_letters
    assert access is not None
    return letters.peek(queue, count) if access.peeks else claim(letters, queue, count)


def claim(letters: DeadLetters, queue: str, count: int) -> list[DeadLetter]:
    """Claim until there are `count`."""
    claimed: list[DeadLetter] = []
    deadline = time.monotonic() + DEADLINE
    while len(claimed) < count:
        assert time.monotonic() < deadline, f"only {len(claimed)} of {count} letters came"
        claimed.extend(letters.claim(queue, count - len(claimed), 0.2))
    return claimed


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
