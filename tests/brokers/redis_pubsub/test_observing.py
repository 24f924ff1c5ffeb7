"""What a subscription to Redis delivers, what publishing answers, and what can be discovered."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr, ValidationError

from collectors.redis_pubsub import RedisPubSub
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.contract import Confirmed, Consumer, Message, Refused, Unknown, Verdict
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.live.frames import CHANNEL
from tests.brokers.redis_pubsub import server as servers
from tests.contracts.broker import collect, observation, until

ADAPTER = RedisPubSub()


@contextmanager
def observing(settings: RedisPubSubConfig) -> Iterator[Consumer]:
    consumer = ADAPTER.consumer(settings, observation())
    consumer.open()
    try:
        yield consumer
    finally:
        consumer.close()


def test_a_message_that_several_patterns_match_is_one_delivery(
    server: servers.Server,
) -> None:
    channels = [b"orders.eu", b"orders.us", b"payments", b"orders.eu", b"orders.eu"]
    sent = [(channel, b"same") for _ in range(200) for channel in channels]
    settings = server.config(patterns=["*", "orders.*", "orders.e?", "[p]*"])
    with observing(settings) as consumer, server.client() as client:
        with client.pipeline(transaction=False) as pipeline:
            for channel, payload in sent:
                pipeline.publish(channel, payload)
            pipeline.execute()
        got = []
        for _ in range(len(sent)):
            received = consumer.receive(1, 10)  # copies fall into different batches
            got += [(d.destination.encode(), d.payload) for d in received.deliveries]
        assert consumer.receive(10, 0.2).deliveries == []
    assert got == sent


def test_sharded_and_plain_channels_come_together(server: servers.Server) -> None:
    settings = server.config(patterns=["ticks.*"], sharded_channels=["ticks.eu", "ticks.us"])
    with observing(settings) as consumer, server.client() as client:
        client.execute_command("SPUBLISH", "ticks.eu", "sharded")
        client.publish("ticks.eu", "plain")
        client.execute_command("SPUBLISH", "ticks.us", "sharded too")
        client.execute_command("SPUBLISH", "ticks.other", "not observed")
        got = [(d.destination, d.payload) for d in collect(consumer, 3)]
        assert consumer.receive(10, 0.2).deliveries == []
    assert got == [("ticks.eu", b"sharded"), ("ticks.eu", b"plain"), ("ticks.us", b"sharded too")]


def test_any_name_of_a_channel_survives_the_way_there_and_back(
    server: servers.Server,
) -> None:
    names = [b"\xff\xfe\0", "Grüße".encode(), b" ", b"a" * 10_000]
    publisher = ADAPTER.publisher(server.config())
    with observing(server.config()) as consumer, server.client() as client:
        for name in names:
            client.publish(name, b"1")
        destinations = [delivery.destination for delivery in collect(consumer, len(names))]
        for destination in destinations:
            assert isinstance(publisher.publish([Message(b"2")], destination)[0], Confirmed)
        assert [d.destination for d in collect(consumer, len(names))] == destinations
    publisher.close()
    assert [name.encode("utf-8", "surrogateescape") for name in destinations] == names


def test_publishing_tells_how_many_subscriptions_received_it(server: servers.Server) -> None:
    publisher = ADAPTER.publisher(server.config(sharded_channels=["sharded"]))
    [outcome] = publisher.publish([Message(b"1")], "nobody")
    assert outcome == Confirmed("0 subscriptions received it.")
    with observing(server.config(patterns=[], sharded_channels=["sharded"])):
        [outcome] = publisher.publish([Message(b"1")], "sharded")
    publisher.close()
    assert outcome == Confirmed("1 subscription received it.")


def test_a_publish_whose_answer_is_lost_is_unknown(own_server: servers.RedisServer) -> None:
    publisher = ADAPTER.publisher(own_server.config())
    assert isinstance(publisher.publish([Message(b"1")], "orders")[0], Confirmed)
    with own_server.client() as client:
        client.execute_command("CLIENT", "PAUSE", "20000", "ALL")
        # A paused server answers nothing, so the end of it is what the publisher sees.
        end = threading.Timer(0.5, own_server.kill)
        end.start()
        [outcome] = publisher.publish([Message(b"2")], "orders")
        end.join()
    assert isinstance(outcome, Unknown)
    with pytest.raises(NotConnected):
        publisher.publish([Message(b"3")], "orders")
    own_server.start()
    assert isinstance(publisher.publish([Message(b"4")], "orders")[0], Confirmed)
    publisher.close()


def test_a_publisher_whose_idle_connection_was_closed_makes_a_new_one(
    own_server: servers.RedisServer,
) -> None:
    publisher = ADAPTER.publisher(own_server.config())
    publisher.publish([Message(b"1")], "orders")
    with own_server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert isinstance(publisher.publish([Message(b"2")], "orders")[0], Confirmed)
    publisher.close()


class TestPermissions:
    @pytest.fixture
    def settings(self, own_server: servers.RedisServer) -> Iterator[RedisPubSubConfig]:
        """A user who may subscribe to orders.* and nothing else."""
        with own_server.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "watcher", "reset", "on", ">secret", "&orders.*",
                "+ping", "+psubscribe",
            )  # fmt: skip
            yield own_server.config(
                user="watcher", password=SecretStr("secret"), patterns=["orders.*"]
            )
            client.execute_command("ACL", "DELUSER", "watcher")

    def test_the_least_permissions_suffice(
        self, own_server: servers.RedisServer, settings: RedisPubSubConfig
    ) -> None:
        steps = list(ADAPTER.check_connection(settings))
        with observing(settings) as consumer, own_server.client() as client:
            client.publish("orders.eu", b"1")
            client.publish("payments", b"2")
            assert [d.payload for d in collect(consumer, 1)] == [b"1"]
        assert {step.verdict for step in steps} == {Verdict.OK}

    def test_a_pattern_that_is_not_allowed_names_the_command_that_allows_it(
        self, settings: RedisPubSubConfig
    ) -> None:
        wider = settings.model_copy(update={"patterns": ["*"]})
        *_, failed = ADAPTER.check_connection(wider)
        with pytest.raises(PermanentFailure, match="may not"), observing(wider):
            pass
        assert (failed.name, failed.verdict) == ("permissions", Verdict.FAILED)
        assert "ACL SETUSER watcher" in failed.way_out

    def test_a_publish_that_is_not_allowed_is_refused(self, settings: RedisPubSubConfig) -> None:
        publisher = ADAPTER.publisher(settings)
        [outcome] = publisher.publish([Message(b"1")], "orders.eu")
        publisher.close()
        assert isinstance(outcome, Refused)
        assert "NOPERM" in outcome.reason


def test_discovery_suggests_the_prefixes_that_channels_share(server: servers.Server) -> None:
    with server.client() as client, client.pubsub() as pubsub:
        pubsub.subscribe("shop.orders", "shop.stock", "alone", "a*b.1", "a*b.2")
        until(lambda: len(client.pubsub_channels()) == 5, "all are subscribed")
        found = ADAPTER.discover(server.config())
    assert [(each.name, each.kind) for each in found] == [
        (r"a\*b.*", "pattern"),
        ("shop.*", "pattern"),
        *(
            (name, "channel")
            for name in (r"a\*b.1", r"a\*b.2", "alone", "shop.orders", "shop.stock")
        ),
    ]
    assert found[0].detail == "2 channels now"
    assert found[-1].detail == "1 subscriber"


def test_discovery_ends_at_a_thousand(server: servers.Server) -> None:
    with server.client() as client, client.pubsub() as pubsub:
        pubsub.subscribe(*(f"channel{number}" for number in range(1_200)))
        until(lambda: len(client.pubsub_channels()) == 1_200, "all are subscribed")
        assert len(ADAPTER.discover(server.config())) == 1_000


def test_what_is_no_redis_is_said_to_be_none() -> None:
    web = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    settings = RedisPubSubConfig(host="127.0.0.1", port=web.server_address[1])
    *_, failed = ADAPTER.check_connection(settings)
    web.shutdown()
    web.server_close()
    assert failed.verdict is Verdict.FAILED
    assert "does not speak Redis" in failed.words


def test_a_server_that_never_answers_fails_within_five_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = RedisPubSubConfig(host="127.0.0.1", port=silent.getsockname()[1])
        started = time.monotonic()
        *_, failed = ADAPTER.check_connection(settings)
        took = time.monotonic() - started
    assert (failed.name, failed.verdict) == ("authenticate", Verdict.FAILED)
    assert "does not answer" in failed.words
    assert took < 5


def test_the_frames_of_the_live_page_are_not_observed(server: servers.Server) -> None:
    with observing(server.config(patterns=["*", "e*"])) as consumer, server.client() as client:
        client.publish(CHANNEL, b"a frame")
        client.publish("events", b"an event")
        with client.pubsub() as pubsub:
            pubsub.subscribe(CHANNEL)
            until(lambda: client.pubsub_channels(), "subscribed")
            found = ADAPTER.discover(server.config())
        assert [delivery.payload for delivery in collect(consumer, 1)] == [b"an event"]
    assert found == []


def test_nothing_to_observe_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least one channel pattern"):
        RedisPubSubConfig(host="localhost", patterns=[" "], sharded_channels=[])
