"""What each mode does to the broker, and what it can and cannot see."""

import time
from typing import Any

import msgspec
import pytest
from azure.servicebus import ServiceBusMessage

from collectors.azure_service_bus import AzureServiceBus
from collectors.azure_service_bus.browser import _View
from collectors.azure_service_bus.consumer import Consumer
from collectors.azure_service_bus.tap import subscription_name
from collectors.azure_service_bus.translate import Incoming
from eventhub.brokers.contract import Observation, StartFrom
from eventhub.brokers.errors import NotConnected, PermanentFailure
from tests.brokers.azure_service_bus.rig import LOCK_SECONDS, ServiceBusRig
from tests.contracts.broker import collect, observation, until

ADAPTER = AzureServiceBus()


def consumer(rig: ServiceBusRig, told: Observation | None = None, **changes: Any) -> Any:
    told = told or observation(installation=rig.installation)
    return ADAPTER.consumer(rig.config_with(**changes), told)


def tap_name(rig: ServiceBusRig) -> str:
    return subscription_name(rig.config_with(), observation(installation=rig.installation))


# The tap


def test_the_tap_is_bounded_and_takes_everything(rig: ServiceBusRig) -> None:
    tap = consumer(rig, tap_keep_minutes=7)
    tap.open()
    found = rig.namespace.subscription(rig.destination, tap_name(rig))
    rules = list(rig.namespace.api.rules(rig.destination, tap_name(rig)))
    tap.close()
    assert found.fields["MaxDeliveryCount"] == "2000"
    assert found.fields["DefaultMessageTimeToLive"] in ("PT420S", "PT7M")
    assert found.fields["AutoDeleteOnIdle"] == "PT7M"
    assert [rule.filter for rule in rules] == ["everything"]


def test_a_removed_tap_is_made_anew_and_is_a_gap(rig: ServiceBusRig) -> None:
    tap = consumer(rig)
    tap.open()
    left = time.time_ns() // 1_000_000
    rig.namespace.delete(f"{rig.destination}/Subscriptions/{tap_name(rig)}")
    with pytest.raises(NotConnected, match="removed the tap"):
        until(lambda: tap.receive(10, 0.2) is None, "the consumer notices")
    tap.close()
    rig.flood([b"lost"])
    again = consumer(rig, observation(installation=rig.installation, last_seen=left))
    again.open()
    rig.flood([b"seen"])
    received = again.receive(10, 5)
    gaps = received.gaps
    if not received.deliveries:
        [delivery] = collect(again, 1)
    else:
        [delivery] = received.deliveries
    again.close()
    assert delivery.payload == b"seen"
    [gap] = gaps
    assert (gap.started, gap.destination) == (left, rig.destination)


def test_what_waited_too_long_is_a_gap(rig: ServiceBusRig) -> None:
    first = consumer(rig)
    first.open()
    first.close()
    hours_ago = time.time_ns() // 1_000_000 - 3 * 3_600_000
    told = observation(installation=rig.installation, last_seen=hours_ago)
    again = consumer(rig, told, tap_keep_minutes=60)
    again.open()
    [gap] = again.receive(10, 0.2).gaps or again.receive(10, 0.2).gaps
    assert again.receive(10, 0.2).gaps == []
    again.close()
    assert gap.started == hours_ago
    assert gap.ended == pytest.approx(hours_ago + 2 * 3_600_000, abs=30_000)


def test_a_prepared_subscription_needs_no_right_to_manage(rig: ServiceBusRig) -> None:
    rig.namespace.create(f"{rig.destination}/Subscriptions/prepared")
    key = rig.server.connection_string("listen", "listen-secret")
    tap = consumer(rig, subscription="prepared", connection_string=key)
    tap.open()
    rig.flood([b"1"])
    [delivery] = collect(tap, 1)
    tap.close()
    assert (delivery.payload, delivery.destination) == (b"1", rig.destination)
    config = rig.config_with(subscription="prepared", connection_string=key)
    assert "The administration" in list(ADAPTER.check_connection(config))[-1].words
    ADAPTER.remove_traces(config, observation())
    assert rig.namespace.subscription(rig.destination, "prepared")


def test_several_topics_are_tapped_at_once(rig: ServiceBusRig) -> None:
    other = f"{rig.destination}.other"
    rig.namespace.create(f"topic:{other}")
    tap = consumer(rig, topics=[rig.destination, other])
    tap.open()
    rig.flood([b"1", b"2"])
    rig.namespace.send(other, ServiceBusMessage(b"3"))
    got = {(each.destination, each.payload) for each in collect(tap, 3)}
    tap.close()
    ADAPTER.remove_traces(
        rig.config_with(topics=[rig.destination, other]),
        observation(installation=rig.installation),
    )
    rig.namespace.delete(other)
    assert got == {(rig.destination, b"1"), (rig.destination, b"2"), (other, b"3")}


def test_locks_are_kept_while_the_store_is_away(rig: ServiceBusRig) -> None:
    tap = consumer(rig)
    tap.open()
    rig.flood([b"1", b"2"])
    received = tap.receive(1, 5)
    end = time.monotonic() + LOCK_SECONDS + 1
    while time.monotonic() < end:
        tap.keep_alive()
        time.sleep(0.1)
    tap.settle(received)
    [second] = tap.receive(10, 5).deliveries
    assert (second.payload, second.redelivered) == (b"2", False)
    tap.close()


def test_a_lost_lock_is_no_failure_and_the_message_comes_again(rig: ServiceBusRig) -> None:
    tap = consumer(rig)
    tap.open()
    rig.flood([b"1"])
    received = tap.receive(1, 5)
    time.sleep(LOCK_SECONDS + 0.2)  # the lock has to run out, and nobody tells when
    tap.settle(received)
    [again] = tap.receive(1, 5).deliveries
    tap.close()
    assert (again.payload, again.redelivered) == (b"1", True)
    assert again.position == received.deliveries[0].position


# Browsing


def test_browsing_changes_nothing_and_sees_what_waits(rig: ServiceBusRig) -> None:
    queue = rig.fill(300)
    before = next(each for each in rig.namespace.api.queues() if each.name == queue)
    started = observation(start=StartFrom.EARLIEST)
    view = consumer(rig, started, mode="browse", entities=[queue], browse_seconds=0.1)
    view.open()
    first = collect(view, 300)
    rig.namespace.send(queue, ServiceBusMessage(b"new"))
    [new] = collect(view, 1)
    assert view.receive(10, 0.3).deliveries == []
    view.close()
    after = next(each for each in rig.namespace.api.queues() if each.name == queue)
    assert [each.payload for each in first] == [b"%d" % n for n in range(300)]
    assert (new.payload, new.destination, new.redelivered) == (b"new", queue, False)
    assert after.counts == msgspec.structs.replace(before.counts, active=301)
    taken = consumer(rig, started, mode="consume", entities=[queue])
    taken.open()
    assert not any(each.redelivered for each in collect(taken, 301)), "no delivery was counted"
    taken.close()


def test_browsing_begins_now_unless_told_otherwise_and_goes_on(rig: ServiceBusRig) -> None:
    queue = rig.fill(2)
    time.sleep(0.002)  # later than the millisecond of the last one
    view = consumer(rig, mode="browse", entities=[queue], browse_seconds=0.1)
    view.open()
    assert view.receive(10, 0.3).deliveries == []
    rig.namespace.send(queue, ServiceBusMessage(b"new"))
    received = view.receive(10, 5)
    assert [each.payload for each in received.deliveries] == [b"new"]
    view.close()
    rig.namespace.send(queue, ServiceBusMessage(b"newer"))
    told = observation(checkpoint=received.checkpoint)
    again = consumer(rig, told, mode="browse", entities=[queue], browse_seconds=0.1)
    again.open()
    assert [each.payload for each in again.receive(10, 5).deliveries] == [b"newer"]
    again.close()


class _Partitions:
    """Numbers of a partitioned entity: the partition is in the top 16 bits."""

    def __init__(self) -> None:
        self.numbers = [1 << 48 | 1, 2 << 48 | 1]

    def peek(self, start: int, limit: int) -> list[Incoming]:
        found = [number for number in sorted(self.numbers) if number >= start][:limit]
        annotations = b"x-opt-sequence-number"
        return [Incoming(_Numbered({annotations: n}), memoryview(b"")) for n in found]


class _Numbered(msgspec.Struct):
    message_annotations: dict[bytes, int]


def test_a_partitioned_entity_is_looked_through_from_its_beginning() -> None:
    partitions = _Partitions()
    view = _View(partitions, 0)  # type: ignore[arg-type]
    assert len(view.look()) == 2
    assert view.look() == []
    partitions.numbers.append(1 << 48 | 2)  # lower than the last one seen
    assert [each.sequence_number for each in view.look()] == [1 << 48 | 2]


# Consuming


def test_consuming_takes_and_must_be_chosen(rig: ServiceBusRig) -> None:
    queue = rig.fill(3)
    taking = consumer(rig, mode="consume", entities=[queue])
    taking.open()
    deliveries = collect(taking, 3)
    taking.close()
    assert {each.destination for each in deliveries} == {queue}
    found = next(each for each in rig.namespace.api.queues() if each.name == queue)
    assert found.counts.active == 0
    modes = {mode.name: mode.safety for mode in ADAPTER.capabilities.modes}
    assert modes["consume"] == "takes messages"
    assert next(iter(modes)) == rig.config_with().mode == "tap"


def test_what_was_not_settled_goes_back_when_the_consumer_closes(rig: ServiceBusRig) -> None:
    queue = rig.fill(3)
    taking = consumer(rig, mode="consume", entities=[queue])
    taking.open()
    until(lambda: taking.receive(1, 0.2).deliveries, "one comes")
    taking.close()
    again = consumer(rig, mode="consume", entities=[queue])
    again.open()
    assert [each.payload for each in collect(again, 3)] == [b"0", b"1", b"2"]
    again.close()


def test_what_is_kept_from_other_consumers_is_bounded(rig: ServiceBusRig) -> None:
    queue = rig.fill(500)
    taking = consumer(rig, mode="consume", entities=[queue])
    taking.open()
    until(lambda: taking.receive(1, 0.2).deliveries, "one comes")
    for _ in range(5):
        taking.keep_alive()
    with (
        rig.namespace.client() as client,
        client.get_queue_receiver(queue, prefetch_count=500, keep_alive=0) as receiver,
    ):
        left = 0
        while messages := receiver.receive_messages(500, max_wait_time=1):
            left += len(messages)
    taking.close()
    assert left >= 300


@pytest.mark.parametrize(
    "changes",
    [
        {"topics": []},
        {"mode": "browse"},
        {"mode": "consume"},
        {"entities": ["a//b"], "mode": "browse"},
    ],
)
def test_nothing_to_observe_says_so(rig: ServiceBusRig, changes: dict[str, Any]) -> None:
    with pytest.raises(PermanentFailure):
        consumer(rig, **changes).open()


def test_a_closed_consumer_says_so(rig: ServiceBusRig) -> None:
    for mode in ("consume", "browse"):
        closed = consumer(rig, mode=mode, entities=["q"])
        with pytest.raises(NotConnected):
            closed.receive(1, 0.1)


def test_long_names_of_sources_fit_and_stay_apart(rig: ServiceBusRig) -> None:
    config = rig.config_with()
    names = {
        subscription_name(config, observation(name=name))
        for name in ("orders", "ord ers", "x" * 60, "x" * 61, "Größe")
    }
    assert len(names) == 5
    assert all(len(name) <= 50 for name in names)


def test_a_consumer_is_of_the_mode(rig: ServiceBusRig) -> None:
    assert isinstance(consumer(rig), Consumer)
