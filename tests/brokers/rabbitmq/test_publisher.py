"""Publishing to a real RabbitMQ: the outcome is the broker's word, or unknown."""

import socket
import threading
from collections.abc import Iterator

import pytest

from collectors.rabbitmq.publisher import Publisher
from eventhub.brokers.contract import Confirmed, Message, Refused, Unknown
from eventhub.brokers.errors import NotConnected
from tests.brokers.rabbitmq.server import RabbitMQServer
from tests.brokers.rabbitmq.test_contract import RabbitMQRig
from tests.contracts.broker import collect, opened, until
from tests.servers.process import free_port


@pytest.fixture
def rig(rabbitmq: RabbitMQServer) -> Iterator[RabbitMQRig]:
    made = RabbitMQRig(rabbitmq)
    made.config = made.config_with(user="guest", password="guest")
    yield made
    made.remove()


@pytest.fixture
def publisher(rig: RabbitMQRig) -> Iterator[Publisher]:
    made = rig.adapter.publisher(rig.config_with())
    yield made
    made.close()


@pytest.fixture
def full_queue(rig: RabbitMQRig) -> Iterator[str]:
    """A queue that takes one message and refuses the next."""
    name = f"full.{rig.installation}"
    limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
    rig.server.api("PUT", f"/queues/%2F/{name}", {"arguments": limits})
    yield name
    rig.server.api("DELETE", f"/queues/%2F/{name}")


def test_a_message_that_no_queue_takes_is_refused(rig: RabbitMQRig, publisher: Publisher) -> None:
    [outcome] = publisher.publish([Message(b"1")], rig.target)
    assert isinstance(outcome, Refused)
    assert "NO_ROUTE" in outcome.reason


def test_each_of_many_in_flight_has_its_own_outcome(rig: RabbitMQRig, publisher: Publisher) -> None:
    queue = f"work.{rig.installation}"
    rig.server.api("PUT", f"/queues/%2F/{queue}", {})
    rig.server.api("POST", f"/bindings/%2F/e/{rig.target}/q/{queue}", {"routing_key": "taken"})
    keys = ["taken" if n % 3 else "nobody" for n in range(2_500)]
    # Equal but for their keys, so that only the keys tell which were returned.
    outcomes = publisher.publish([Message(b"same", key=key) for key in keys], rig.target)
    rig.server.api("DELETE", f"/queues/%2F/{queue}")
    assert [isinstance(outcome, Confirmed) for outcome in outcomes] == [
        key == "taken" for key in keys
    ]
    assert {type(outcome) for outcome in outcomes} == {Confirmed, Refused}


def test_what_the_broker_objects_to_is_refused_alone(
    rig: RabbitMQRig, publisher: Publisher
) -> None:
    forged = Message(b"forged", headers=[("amqp.user_id", "somebody")])
    plain = Message(b"plain")
    with opened(rig) as consumer:
        outcomes = publisher.publish([plain, plain, forged, plain, plain], rig.target)
        got = collect(consumer, 4)
    assert [type(outcome) for outcome in outcomes] == [
        Confirmed, Confirmed, Refused, Confirmed, Confirmed
    ]  # fmt: skip
    assert [delivery.payload for delivery in got] == [b"plain"] * 4


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_what_a_full_queue_refuses_is_refused_with_its_name(
    rig: RabbitMQRig, publisher: Publisher, kind: str
) -> None:
    name = f"full.{kind}.{rig.installation}"
    limits = {"x-max-length": 1, "x-overflow": "reject-publish", "x-queue-type": kind}
    rig.server.api("PUT", f"/queues/%2F/{name}", {"durable": True, "arguments": limits})
    rig.server.api("POST", f"/bindings/%2F/e/{rig.exchange}/q/{name}", {"routing_key": "#"})
    try:
        assert publisher.publish([Message(b"1")], f"/{name}") == [Confirmed()]
        # A quorum queue takes some more than its limit before it refuses.
        until(
            lambda: publisher.publish([Message(b"more")], f"/{name}") != [Confirmed()], "it is full"
        )
        [outcome] = publisher.publish([Message(b"2")], f"/{name}")
        [routed] = publisher.publish([Message(b"2")], f"{rig.exchange}/a.b")
    finally:
        rig.server.api("DELETE", f"/queues/%2F/{name}")
    assert isinstance(outcome, Refused)
    assert f"the queue {name!r} is full" in outcome.reason
    assert "raise its limit" in outcome.reason
    assert isinstance(routed, Refused)
    assert f"a queue that the exchange {rig.exchange!r} routes 'a.b' to is full" in routed.reason


def test_a_refusal_that_closes_the_channel_leaves_the_publisher_fit(
    rig: RabbitMQRig, publisher: Publisher, full_queue: str
) -> None:
    forged = Message(b"1", headers=[("amqp.user_id", "somebody")])
    for message, target, words in (
        (Message(b"1"), "no-such-exchange", "NOT_FOUND"),
        (forged, f"/{full_queue}", "user_id"),
        (Message(b"1", headers=[("n", 2**70)]), f"/{full_queue}", "64 bits"),
        (Message(b"1", type="x" * 300), f"/{full_queue}", "255 bytes"),
        (Message(b"1"), "x" * 300, "255 bytes"),
        (Message(b"1", headers=[("h", "x" * 200_000)]), f"/{full_queue}", "too large"),
    ):
        [outcome] = publisher.publish([message], target)
        assert isinstance(outcome, Refused), (words, outcome)
        assert words in outcome.reason, outcome.reason
    assert publisher.publish([Message(b"1")], f"/{full_queue}") == [Confirmed()]


def test_a_large_returned_message_with_headers_is_refused_like_any_other(
    rig: RabbitMQRig, publisher: Publisher
) -> None:
    odd = Message(b"x" * 300_000, headers=[("r", 0.5), ("far", [2**40])])
    assert isinstance(publisher.publish([odd], rig.target)[0], Refused)
    assert isinstance(publisher.publish([odd], rig.target)[0], Refused)


def test_a_key_in_the_target_goes_before_the_messages_own(
    rig: RabbitMQRig, publisher: Publisher
) -> None:
    with opened(rig) as consumer:
        publisher.publish([Message(b"1", key="own")], rig.target)
        publisher.publish([Message(b"2", key="own")], f"{rig.target}/given")
        publisher.publish([Message(b"3", key=b"\xff\xfe")], rig.target)
        got = collect(consumer, 3)
    assert [delivery.key for delivery in got] == ["own", "given", b"\xff\xfe"]


def test_nothing_listens_is_not_connected(rig: RabbitMQRig) -> None:
    publisher = rig.adapter.publisher(rig.config_with(port=free_port()))
    with pytest.raises(NotConnected, match="Nothing listens"):
        publisher.publish([Message(b"1")], rig.target)
    publisher.close()


def test_a_connection_lost_before_the_confirm_is_unknown_and_the_next_one_works(
    rig: RabbitMQRig, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(rig):
        assert publisher.publish([Message(b"1")], rig.target) == [Confirmed()]
        wire = publisher._wire
        assert wire is not None
        # The answer is cut off with the socket, as a crash of the network would.
        read = wire._read

        def cut(seconds: float) -> None:
            wire._sock.shutdown(socket.SHUT_RDWR)
            read(seconds)

        monkeypatch.setattr(wire, "_read", cut)
        [outcome] = publisher.publish([Message(b"2")], rig.target)
        assert isinstance(outcome, Unknown)
        assert "lost" in outcome.reason
        assert publisher.publish([Message(b"3")], rig.target) == [Confirmed()]


def test_publishers_in_two_threads_do_not_meet(rig: RabbitMQRig) -> None:
    outcomes: list[object] = []

    def publish() -> None:
        own = rig.adapter.publisher(rig.config_with())
        for _ in range(50):
            outcomes.extend(own.publish([Message(b"x")], rig.target))
        own.close()

    with opened(rig) as consumer:
        threads = [threading.Thread(target=publish) for _ in range(2)]
        for thread in threads:
            thread.start()
        collect(consumer, 100)
        for thread in threads:
            thread.join()
    assert outcomes == [Confirmed()] * 100
