"""Both brokers, each started once for all tests here, and only for those that ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.activemq import server as servers
from tests.conftest import require

# The libraries come by requirements-activemq.txt; without them only test_libraries.py can be read.
collect_ignore = (
    []
    if servers.missing_libraries() is None
    else [
        path.name
        for path in Path(__file__).parent.glob("test_*.py")
        if path.name != "test_libraries.py"
    ]
)


@pytest.fixture(scope="session")
def classic() -> Iterator[servers.ActiveMQServer]:
    require("ActiveMQ Classic", servers.missing("classic"))
    with servers.running("classic") as server:
        yield server


@pytest.fixture(scope="session")
def artemis() -> Iterator[servers.ActiveMQServer]:
    require("ActiveMQ Artemis", servers.missing("artemis"))
    with servers.running("artemis") as server:
        yield server


@pytest.fixture(scope="session", params=["classic", "artemis"])
def server(request: pytest.FixtureRequest) -> servers.ActiveMQServer:
    """Each of them in turn."""
    started: servers.ActiveMQServer = request.getfixturevalue(request.param)
    return started
