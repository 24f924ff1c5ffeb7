"""Entities with sessions: on a stand-in, unless EVENTHUB_TEST_AZURE_SERVICE_BUS names a namespace.

The stand-in speaks them as Microsoft's protocol guide says, and Microsoft's own client is the
other consumer of these tests."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.exceptions import OperationTimeoutError, SessionCannotBeLockedError

from collectors.azure_service_bus import AzureServiceBus, sessions
from eventhub.brokers.contract import Confirmed, Delivery, Message, Refused, StartFrom
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.azure_service_bus.rig import LOCK_SECONDS, ServiceBusRig
from tests.contracts.broker import collect, observation, publishing, receive_batch, until

ADAPTER = AzureServiceBus()
AT_ONCE = 8


def session_queue(rig: ServiceBusRig, sessions: int = 0, each: int = 1) -> str:
    """A queue with so many messages in each of its sessions, one of each session in turn."""
    queue = rig.queue(RequiresSession="true", LockDuration=f"PT{LOCK_SECONDS}S")
    for n in range(each):
        for number in range(sessions):
            send(rig, queue, f"s{number}", n)
    return queue


def send(rig: ServiceBusRig, target: str, session: str, n: int) -> None:
    rig.namespace.send(target, ServiceBusMessage(b"%d" % n, session_id=session))


@contextmanager
def consuming(rig: ServiceBusRig, *entities: str) -> Iterator[Any]:
    config = rig.config_with(mode="consume", entities=list(entities))
    consumer = ADAPTER.consumer(config, observation(installation=rig.installation))
    consumer.open()
    try:
        yield consumer
    finally:
        consumer.close()


@contextmanager
def other(rig: ServiceBusRig, queue: str, session: Any = NEXT_AVAILABLE_SESSION) -> Iterator[Any]:
    """Somebody else's receiver of a session; raises where it gets none within a second."""
    with (
        rig.namespace.client(retry_total=0) as client,
        client.get_queue_receiver(
            queue, session_id=session, max_wait_time=1, keep_alive=0
        ) as receiver,
    ):
        yield receiver


def waiting(rig: ServiceBusRig, queue: str) -> int:
    found = next(each for each in rig.namespace.api.queues() if each.name == queue)
    return found.counts.active


def by_session(deliveries: list[Delivery]) -> dict[Any, list[bytes]]:
    found: dict[Any, list[bytes]] = {}
    for each in deliveries:
        found.setdefault(each.key, []).append(each.payload)
    return found


def test_more_sessions_than_are_held_at_once_all_come_each_in_its_order(
    rig: ServiceBusRig,
) -> None:
    queue = session_queue(rig, sessions=3 * AT_ONCE, each=4)
    with consuming(rig, queue) as consumer:
        deliveries = collect(consumer, 3 * AT_ONCE * 4)
        assert waiting(rig, queue) == 0, "each was completed by its session's receiver"
    in_order = [b"%d" % n for n in range(4)]
    assert by_session(deliveries) == {f"s{n}": in_order for n in range(3 * AT_ONCE)}
    assert not any(each.redelivered for each in deliveries)


def test_no_more_sessions_are_kept_from_others_than_said(rig: ServiceBusRig) -> None:
    queue = session_queue(rig, sessions=AT_ONCE + 1)
    with consuming(rig, queue) as consumer:
        held = collect(consumer, AT_ONCE, settle=False)
        assert consumer.receive(10, 0.3).deliveries == []
        with other(rig, queue) as receiver:
            assert receiver.session.session_id not in by_session(held)


def test_an_idle_session_is_left_and_accepted_again_when_something_comes(
    rig: ServiceBusRig,
) -> None:
    queue = session_queue(rig, sessions=1)
    with consuming(rig, queue) as consumer:
        collect(consumer, 1)
        until(
            lambda: consumer.receive(1, 0.2) is None or _is_free(rig, queue, "s0"),
            "the session is left",
        )
        send(rig, queue, "s0", 1)
        [again] = collect(consumer, 1)
    assert (again.payload, again.redelivered) == (b"1", False)


def _is_free(rig: ServiceBusRig, queue: str, session: str) -> bool:
    try:
        with other(rig, queue, session):
            return True
    except SessionCannotBeLockedError:
        return False


def test_what_comes_to_a_held_session_comes_without_asking_again(rig: ServiceBusRig) -> None:
    queue = session_queue(rig, sessions=1)
    with consuming(rig, queue) as consumer:
        first = receive_batch(consumer, 1)
        for n in range(1, 300):
            send(rig, queue, "s0", n)
        rest = collect(consumer, 299, settle=False)
        consumer.settle(first)
    assert [each.payload for each in rest] == [b"%d" % n for n in range(1, 300)]
    assert waiting(rig, queue) == 299, "only the settled one is gone"


def test_a_queue_without_messages_is_asked_again(
    rig: ServiceBusRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_ACCEPT_SECONDS", 0.1)
    queue = session_queue(rig)
    with consuming(rig, queue) as consumer:
        assert consumer.receive(1, 1.0).deliveries == []  # refused several times by now
        send(rig, queue, "s0", 1)
        [delivery] = collect(consumer, 1)
    assert delivery.key == "s0"


def test_a_session_that_is_never_idle_leaves_room_for_others(
    rig: ServiceBusRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_AT_ONCE": 1, "_TURN_SECONDS": 0.2}.items():
        monkeypatch.setattr(sessions, name, value)
    for name in ("_IDLE_SECONDS", "_QUIET_SECONDS"):
        monkeypatch.setattr(sessions, name, 600.0)
    queue = session_queue(rig, sessions=2)
    with consuming(rig, queue) as consumer:

        def the_other_comes() -> bool:
            send(rig, queue, "s0", 1)
            received = consumer.receive(1, 0.1)
            consumer.settle(received)
            return any(each.key == "s1" for each in received.deliveries)

        until(the_other_comes, "the other session has its turn")


def test_session_locks_are_kept_while_the_store_is_away(rig: ServiceBusRig) -> None:
    queue = session_queue(rig, sessions=2, each=2)
    with consuming(rig, queue) as consumer:
        batches = [receive_batch(consumer, 1) for _ in range(4)]
        end = time.monotonic() + LOCK_SECONDS + 1
        while time.monotonic() < end:
            consumer.keep_alive()
            with pytest.raises(OperationTimeoutError), other(rig, queue):
                pass
        for batch in batches:
            consumer.settle(batch)
        assert consumer.receive(10, 0.3).deliveries == []
    assert waiting(rig, queue) == 0


def test_a_lost_session_comes_again_in_its_order(rig: ServiceBusRig) -> None:
    queue = session_queue(rig, sessions=1, each=3)
    with consuming(rig, queue) as consumer:
        first = receive_batch(consumer, 3)
        time.sleep(LOCK_SECONDS + 0.2)  # the lock has to run out, and nobody tells when
        consumer.settle(first)  # too late, and no failure
        again = collect(consumer, 3)
    assert [each.payload for each in first.deliveries] == [b"0", b"1", b"2"]
    assert [each.payload for each in again] == [b"0", b"1", b"2"]
    assert [each.position for each in again] == [each.position for each in first.deliveries]
    assert all(each.redelivered for each in again)
    assert waiting(rig, queue) == 0


def test_leaving_gives_back_without_counting_a_delivery(rig: ServiceBusRig) -> None:
    queue = session_queue(rig, sessions=2, each=3)
    with consuming(rig, queue) as consumer:
        consumer.settle(receive_batch(consumer, 1))
    with consuming(rig, queue) as consumer:
        rest = collect(consumer, 5)
    assert not any(each.redelivered for each in rest)
    assert sorted(by_session(rest).values()) == [[b"0", b"1", b"2"], [b"1", b"2"]]


def test_queues_with_and_without_sessions_are_consumed_together(rig: ServiceBusRig) -> None:
    with_sessions, without = session_queue(rig, sessions=2), rig.fill(2)
    with consuming(rig, with_sessions, without) as consumer:
        got = {(each.destination, each.key, each.payload) for each in collect(consumer, 4)}
    assert got == {
        (with_sessions, "s0", b"0"), (with_sessions, "s1", b"0"),
        (without, None, b"0"), (without, None, b"1"),
    }  # fmt: skip


def test_a_removed_queue_ends_the_consumer(rig: ServiceBusRig) -> None:
    queue = session_queue(rig, sessions=1)
    with consuming(rig, queue) as consumer:
        collect(consumer, 1)
        rig.namespace.delete(queue)
        rig._queues.remove(queue)
        with pytest.raises(PermanentFailure, match=queue):
            until(lambda: consumer.receive(1, 0.2) is None, "the consumer notices")


def test_browsing_needs_no_session_and_takes_none(rig: ServiceBusRig) -> None:
    """Microsoft: clients may still peek at an entity with sessions."""
    queue = session_queue(rig, sessions=2, each=2)
    told = observation(start=StartFrom.EARLIEST)
    config = rig.config_with(mode="browse", entities=[queue], browse_seconds=0.1)
    view = ADAPTER.consumer(config, told)
    view.open()
    seen = collect(view, 4)
    assert by_session(seen) == {"s0": [b"0", b"1"], "s1": [b"0", b"1"]}
    with other(rig, queue) as receiver:
        assert receiver.session.session_id == "s0", "no session was accepted"
    view.close()


# Topics


def test_a_tap_sees_what_sessions_bring_to_others(rig: ServiceBusRig) -> None:
    rig.namespace.create(f"{rig.destination}/Subscriptions/orders", RequiresSession="true")
    tap = ADAPTER.consumer(rig.config_with(), observation(installation=rig.installation))
    tap.open()
    send(rig, rig.destination, "s7", 1)
    [delivery] = collect(tap, 1)
    tap.close()
    assert (delivery.key, delivery.payload) == ("s7", b"1")
    assert rig.namespace.subscription(rig.destination, "orders").counts.active == 1


def test_a_prepared_tap_may_require_sessions(rig: ServiceBusRig) -> None:
    rig.namespace.create(f"{rig.destination}/Subscriptions/prepared", RequiresSession="true")
    config = rig.config_with(subscription="prepared")
    tap = ADAPTER.consumer(config, observation(installation=rig.installation))
    tap.open()
    for n in range(3):
        send(rig, rig.destination, "s7", n)
    deliveries = collect(tap, 3)
    tap.close()
    assert {each.destination for each in deliveries} == {rig.destination}
    assert by_session(deliveries) == {"s7": [b"0", b"1", b"2"]}


# Publishing, and dead letters


def test_a_key_or_the_kept_header_is_the_session_id(rig: ServiceBusRig) -> None:
    queue = session_queue(rig)
    messages = [
        Message(b"1", key="customer-7"),
        Message(b"2", key="other", headers=[("servicebus.session_id", "customer-8")]),
    ]
    with publishing(rig) as publisher, consuming(rig, queue) as consumer:
        assert publisher.publish(messages, queue) == [Confirmed()] * 2
        assert by_session(collect(consumer, 2)) == {"customer-7": [b"1"], "customer-8": [b"2"]}


def test_without_a_session_id_each_is_refused_alone(rig: ServiceBusRig) -> None:
    queue = session_queue(rig)
    messages = [Message(b"1", key="a"), Message(b"2"), Message(b"3", key="a")]
    with publishing(rig) as publisher:
        one, two, three = publisher.publish(messages, queue)
        assert publisher.publish([Message(b"4", key="a")], queue) == [Confirmed()]
    assert (one, three) == (Confirmed(), Confirmed())
    assert isinstance(two, Refused)
    assert "requires sessions" in two.reason
    assert "Give it a key" in two.reason


def test_dead_letters_of_sessions_are_claimed_without_one(rig: ServiceBusRig) -> None:
    queue = session_queue(rig, sessions=2)
    for _ in range(2):
        with other(rig, queue) as receiver:
            [message] = receiver.receive_messages(1)
            receiver.dead_letter_message(message, reason="Rejected")
    dead = ADAPTER.dead_letters(rig.config_with())
    letters = dead.claim(f"{queue}/$DeadLetterQueue", 10, 5)
    assert {(each.delivery.key, each.reason, each.origin) for each in letters} == {
        ("s0", "Rejected", queue), ("s1", "Rejected", queue),
    }  # fmt: skip
    assert dead.remove(letters) == [Confirmed()] * 2
    dead.close()
