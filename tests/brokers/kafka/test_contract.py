"""Kafka keeps the contract."""

from collections.abc import Iterator

import pytest

from collectors.kafka import publisher
from tests.brokers.kafka.rig import KafkaRig
from tests.brokers.kafka.server import Broker
from tests.contracts.broker import BrokerContract, Rig


class TestKafka(BrokerContract):
    @pytest.fixture
    def rig(self, kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
        monkeypatch.setattr(publisher, "CONFIRM_SECONDS", 3.0)
        rig = KafkaRig(kafka)
        try:
            yield rig
        finally:
            rig.close()
