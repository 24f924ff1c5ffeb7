"""Azure Service Bus keeps the broker contract: on a stand-in, unless
EVENTHUB_TEST_AZURE_SERVICE_BUS names a namespace (Premium, with messages of 6 MB allowed)."""

import pytest

from tests.brokers.azure_service_bus.rig import ServiceBusRig
from tests.contracts.broker import BrokerContract, Rig


class TestAzureServiceBus(BrokerContract):
    @pytest.fixture
    def rig(self, rig: ServiceBusRig) -> Rig:
        return rig
