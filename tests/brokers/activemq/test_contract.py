"""ActiveMQ keeps the contract: both brokers, over AMQP."""

from collections.abc import Iterator

import pytest

from tests.brokers.activemq.rig import ActiveMQRig
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import BrokerContract, Rig


class TestTap(BrokerContract):
    @pytest.fixture
    def rig(self, server: ActiveMQServer) -> Iterator[Rig]:
        rig = ActiveMQRig(server)
        try:
            yield rig
        finally:
            rig.remove()
