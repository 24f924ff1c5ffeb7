"""The exchanges that a source can observe, from the management API."""

from collections import Counter
from typing import Final

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.management import Exchange, Management, Unreadable
from eventhub.brokers.contract import Destination
from eventhub.brokers.errors import NotConnected

__all__ = ["discover"]

_MOST: Final = 1_000
_OBSERVABLE: Final = ("topic", "fanout", "headers", "direct")


def discover(config: RabbitMQConfig) -> list[Destination]:
    """Exchanges, those with bindings first. Raises NotConnected where the API cannot be read."""
    management = Management(config)
    try:
        exchanges = management.exchanges()
        bound = Counter(binding.source for binding in management.bindings())
    except Unreadable as problem:
        raise NotConnected(
            f"Exchanges are listed by the management API at {config.management()}. {problem}",
            way_out="Correct the management URL, or type the exchanges' names.",
        ) from problem
    named = [exchange for exchange in exchanges if _observable(exchange)]
    named.sort(key=lambda exchange: (exchange.name.startswith("amq."), -bound[exchange.name]))
    return [
        Destination(exchange.name, f"{exchange.type} exchange", _detail(bound[exchange.name]))
        for exchange in named[:_MOST]
    ]


def _observable(exchange: Exchange) -> bool:
    """Not the default exchange, to which nothing can be bound."""
    return bool(exchange.name) and exchange.type in _OBSERVABLE


def _detail(bindings: int) -> str:
    return "1 binding" if bindings == 1 else f"{bindings} bindings"
