"""Looking at a real RabbitMQ with a thousand queues costs a few calls."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pika
import pytest

from collectors.rabbitmq.depth import DepthProbe
from tests.brokers.rabbitmq.server import RabbitMQServer
from tests.brokers.rabbitmq.test_contract import RabbitMQRig
from tests.contracts.broker import until

MANY = 1_000


@pytest.fixture(scope="module")
def crowded(rabbitmq: RabbitMQServer) -> Iterator[tuple[RabbitMQServer, str]]:
    """The server, and a virtual host of 1,000 queues; `deep.7` has 3 messages."""
    host = "crowded"
    rabbitmq.api("PUT", f"/vhosts/{host}")
    rabbitmq.api(
        "PUT",
        f"/permissions/{host}/{quote(rabbitmq.user)}",
        {"configure": ".*", "write": ".*", "read": ".*"},
    )
    parameters = pika.URLParameters(rabbitmq.url)
    parameters.virtual_host = host
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    for number in range(MANY):
        channel.queue_declare(f"deep.{number}")
    for _ in range(3):
        channel.basic_publish("", "deep.7", b"x")
    connection.close()
    yield rabbitmq, host
    rabbitmq.api("DELETE", f"/vhosts/{host}")


@pytest.fixture
def probe(crowded: tuple[RabbitMQServer, str]) -> Iterator[DepthProbe]:
    server, host = crowded
    rig = RabbitMQRig(server)
    yield DepthProbe(rig.config_with(virtual_host=host, user=server.user, password=server.password))
    rig.remove()


@pytest.fixture
def calls(probe: DepthProbe, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The address of each HTTP call that the probe makes."""
    made: list[str] = []
    opener = probe._management._opener
    send = opener.open

    def counted(request: Any, *arguments: Any, **named: Any) -> Any:
        made.append(request.full_url)
        return send(request, *arguments, **named)

    monkeypatch.setattr(opener, "open", counted)
    return made


def test_a_thousand_queues_are_sampled_with_two_calls(probe: DepthProbe, calls: list[str]) -> None:
    until(lambda: _depth(probe, "deep.7") == 3, "the API has counted")
    del calls[:]
    sampled = probe.sample(2 * MANY)
    assert (len(sampled.samples), sampled.left_out) == (MANY, 0)
    assert len({each.destination for each in sampled.samples}) == MANY
    assert len(calls) == 2, (
        "two pages of 500; which queues hold dead letters is asked once a minute"
    )


def test_with_a_limit_the_deepest_are_sampled_and_the_rest_is_counted(
    probe: DepthProbe, calls: list[str]
) -> None:
    until(lambda: _depth(probe, "deep.7") == 3, "the API has counted")
    del calls[:]
    sampled = probe.sample(100)
    assert (len(sampled.samples), sampled.left_out) == (100, MANY - 100)
    assert sampled.samples[0].destination == "deep.7"
    assert len(calls) == 1


def test_a_first_look_asks_for_the_structure_too(probe: DepthProbe, calls: list[str]) -> None:
    probe.sample(2 * MANY)
    assert len(calls) == 4, "queues, bindings, and two pages"


def _depth(probe: DepthProbe, queue: str) -> int | None:
    return {each.destination: each.waiting for each in probe.sample(2 * MANY).samples}.get(queue)
