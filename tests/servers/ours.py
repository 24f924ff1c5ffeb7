"""Which servers of the tests' own can be started: not one that somebody else runs, which a test
must not break, or whose tools it does not have."""

import os
from collections.abc import Callable, Mapping
from typing import Final

from tests.brokers.activemq import server as activemq
from tests.brokers.azure_service_bus import server as azure
from tests.brokers.kafka import server as kafka
from tests.brokers.rabbitmq import server as rabbitmq
from tests.brokers.redis_pubsub import server as redis
from tests.brokers.sqs import server as sqs

__all__ = ["not_ours"]


def not_ours(name: str) -> str | None:
    """Why this server cannot be started here; None where it can."""
    variable, missing = _SERVERS[name]
    if os.environ.get(variable):
        return f"the server that {variable} names is not the tests' own"
    return missing()


def _activemq(flavour: activemq.Flavour) -> str | None:
    return activemq.missing_libraries() or activemq.missing(flavour)


_SERVERS: Final[Mapping[str, tuple[str, Callable[[], str | None]]]] = {
    "rabbitmq": ("EVENTHUB_TEST_RABBITMQ", rabbitmq.missing),
    "redis_pubsub": ("EVENTHUB_TEST_REDIS_PUBSUB", redis.missing),
    "kafka": ("EVENTHUB_TEST_KAFKA", kafka.missing),
    "elasticmq": ("EVENTHUB_TEST_SQS", sqs.missing),
    "classic": ("EVENTHUB_TEST_ACTIVEMQ", lambda: _activemq("classic")),
    "artemis": ("EVENTHUB_TEST_ARTEMIS", lambda: _activemq("artemis")),
    "azure_service_bus": (azure.VARIABLE, azure.missing),
}
