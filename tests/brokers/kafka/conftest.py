"""One node for all tests of this folder."""

from collections.abc import Iterator

import pytest

from collectors.kafka import assignment
from tests.brokers.kafka import server as servers
from tests.brokers.kafka.rig import KafkaRig
from tests.conftest import require


@pytest.fixture(scope="session")
def kafka() -> Iterator[servers.Broker]:
    require("Kafka", servers.missing())
    with servers.running() as server:
        yield server


@pytest.fixture
def node(kafka: servers.Broker) -> servers.KafkaServer:
    """The same, for tests that need its other listeners."""
    if not isinstance(kafka, servers.KafkaServer):
        pytest.skip("the broker that EVENTHUB_TEST_KAFKA names has one listener")
    return kafka


@pytest.fixture
def rig(kafka: servers.Broker, monkeypatch: pytest.MonkeyPatch) -> KafkaRig:
    """Its consumers look for new topics five times a second."""
    monkeypatch.setattr(assignment, "LOOK_EVERY", 0.2)
    return KafkaRig(kafka)
