"""One namespace for all tests of this folder; each test names its own entities."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from azure.servicebus import _servicebus_receiver, _servicebus_sender, _session_browser

from tests.brokers.azure_service_bus import server as servers
from tests.brokers.azure_service_bus.rig import Namespace, ServiceBusRig
from tests.conftest import require


@pytest.fixture(scope="session", autouse=True)
def links_open_fast() -> Iterator[None]:
    """The SDK sleeps for 50 ms after each frame while a link opens, 0.4 s in all; here 2 ms."""
    faster = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: time.sleep(seconds / 25)})
    with pytest.MonkeyPatch.context() as patch:
        for module in (_servicebus_receiver, _servicebus_sender, _session_browser):
            patch.setattr(module, "time", faster)
        yield


@pytest.fixture(scope="session")
def namespace() -> Iterator[Namespace]:
    require("Azure Service Bus", servers.missing())
    with servers.running() as server:
        made = Namespace(server)
        yield made
        made.close()


@pytest.fixture
def rig(namespace: Namespace, request: pytest.FixtureRequest) -> Iterator[ServiceBusRig]:
    made = ServiceBusRig(namespace)
    if request.cls is None:  # the contract's tests name their broker themselves
        request.node.user_properties.append(("broker", (made.adapter.title, made.broker_name)))
    yield made
    made.remove()
