"""The stand-ins, each started once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.brokers.sqs import server as servers
from tests.conftest import require


@pytest.fixture(scope="session")
def elasticmq() -> Iterator[servers.Cloud]:
    require("Amazon SQS", servers.missing("elasticmq"))
    with servers.running("elasticmq") as cloud:
        yield cloud


@pytest.fixture(scope="session")
def moto() -> Iterator[servers.Cloud]:
    require("moto", servers.missing("moto"))
    with servers.running("moto") as cloud:
        yield cloud
