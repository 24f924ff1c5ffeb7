"""Exchanges, queues, what is bound to what, and where dead letters go: from the management API."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from collectors.rabbitmq.config import EXCHANGE_TYPES, TRACER, RabbitMQConfig
from collectors.rabbitmq.management import Binding, Exchange, Management, Queue, Unreadable
from eventhub.brokers.contract import Destination, Link
from eventhub.brokers.errors import NotConnected

__all__ = ["dead_letter_queues", "discover"]

_MOST: Final = 1_000
_WILDCARDS: Final = frozenset("*#")


def discover(config: RabbitMQConfig) -> list[Destination]:
    """Exchanges, those with bindings first, then queues. Raises NotConnected where the API cannot
    be read."""
    management = Management(config)
    try:
        exchanges = [each for each in management.exchanges() if _observable(each)]
        bindings = management.bindings()
        queues = management.queues()
    except Unreadable as problem:
        raise NotConnected(
            f"Exchanges are listed by the management API at {config.management()}. {problem}",
            way_out="Correct the management URL, or type the exchanges' names.",
        ) from problem
    links: dict[str, list[Link]] = defaultdict(list)
    for binding in bindings:
        links[binding.source].append(Link(binding.destination, "binding", binding.routing_key))
    exchanges.sort(key=lambda each: (each.name.startswith("amq."), -len(links[each.name])))
    dead = dead_letter_queues(queues, bindings)
    found = [
        *(_exchange(exchange, links[exchange.name]) for exchange in exchanges),
        *(_queue(queue, queue.name in dead) for queue in queues),
    ]
    return found[:_MOST]


def dead_letter_queues(queues: Sequence[Queue], bindings: Sequence[Binding]) -> set[str]:
    """Queues that a dead-letter exchange feeds (https://www.rabbitmq.com/docs/dlx)."""
    by_source: dict[str, list[Binding]] = defaultdict(list)
    for binding in bindings:
        by_source[binding.source].append(binding)
    names = {queue.name for queue in queues}
    found: set[str] = set()
    pending = [route for queue in queues if (route := _dead_letter_route(queue)) is not None]
    seen = set(pending)
    while pending:
        exchange, key = pending.pop()
        if not exchange and key in names:
            found.add(key)
        for binding in by_source[exchange] if exchange else ():
            if not _may_match(binding.routing_key, key):
                continue
            if binding.destination_type == "queue":
                found.add(binding.destination)
            elif (further := (binding.destination, key)) not in seen:
                seen.add(further)
                pending.append(further)
    return found


def _dead_letter_route(queue: Queue) -> tuple[str, str | None] | None:
    """Exchange and routing key of what dies in a queue; its argument goes before a policy."""
    policy = queue.effective_policy_definition
    policy = policy if isinstance(policy, dict) else {}
    exchange = queue.arguments.get("x-dead-letter-exchange", policy.get("dead-letter-exchange"))
    if not isinstance(exchange, str):
        return None
    key = queue.arguments.get("x-dead-letter-routing-key", policy.get("dead-letter-routing-key"))
    return exchange, key if isinstance(key, str) else None


def _may_match(bound: str, key: str | None) -> bool:
    """A letter keeps its own key where none is given. What kind the exchange is decides how a
    binding's key is read; an empty one, and one with wildcards, may match anything."""
    return key is None or bound in ("", key) or bool(_WILDCARDS & set(bound))


def _exchange(exchange: Exchange, links: list[Link]) -> Destination:
    count = len(links)
    detail = "1 binding" if count == 1 else f"{count} bindings"
    return Destination(exchange.name, f"{exchange.type} exchange", detail, links=tuple(links))


def _queue(queue: Queue, dead_letters: bool) -> Destination:
    route = _dead_letter_route(queue)
    links = () if route is None else (Link(route[0] or route[1] or "", "dead letters"),)
    return Destination(
        queue.name,
        f"{queue.type} queue",
        "dead letters" if dead_letters else "",
        dead_letters=dead_letters,
        links=links,
    )


def _observable(exchange: Exchange) -> bool:
    """Not the default exchange, to which nothing can be bound, nor that of the firehose, whose
    messages are no application's."""
    return exchange.name not in ("", TRACER) and exchange.type in EXCHANGE_TYPES
