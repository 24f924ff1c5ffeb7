"""Which adapters there are: ours by dotted path, others by the entry point `eventhub.brokers`."""

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from eventhub.brokers.contract import Adapter
from eventhub.brokers.errors import PermanentFailure

__all__ = ["adapter", "kinds"]

# Dotted paths, so that nothing here imports a broker's client library (or `collectors`).
_OURS: Final = {
    "rabbitmq": "collectors.rabbitmq:RabbitMQ",
    "kafka": "collectors.kafka:Kafka",
    "sqs": "collectors.sqs:SQS",
    "activemq": "collectors.activemq:ActiveMQ",
    "redis_pubsub": "collectors.redis_pubsub:RedisPubSub",
    "azure_service_bus": "collectors.azure_service_bus:AzureServiceBus",
    "memory": "eventhub.brokers.memory:Memory",
}
_HIDDEN: Final = {"memory"}


def kinds() -> list[str]:
    """Kinds that a person can configure, in the order of a form."""
    return [kind for kind in _paths() if kind not in _HIDDEN]


@cache
def adapter(kind: str) -> Adapter[Any]:
    """The adapter of a kind. Raises PermanentFailure: with the nearest name for an unknown one,
    with what to install for one that cannot be loaded."""
    paths = _paths()
    if kind not in paths:
        near = difflib.get_close_matches(kind, paths, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known kinds: {', '.join(kinds())}."
        raise PermanentFailure(f"No broker kind is called {kind!r}.", way_out=hint)
    module, name = paths[kind].split(":")
    try:
        made: Adapter[Any] = getattr(import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise PermanentFailure(
            f"The adapter of {kind} cannot be loaded: {error}.",
            way_out=f"Install what it needs: pip install -r requirements-{kind}.txt",
        ) from error
    return made


@cache
def _paths() -> dict[str, str]:
    theirs = {entry.name: entry.value for entry in entry_points(group="eventhub.brokers")}
    return {**theirs, **_OURS}
