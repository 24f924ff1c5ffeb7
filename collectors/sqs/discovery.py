"""Queues with their redrive links, topics with their subscriptions, buses with their rules."""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from collectors.sqs.account import AT_ONCE, QueueFacts, ask_queues, list_queues
from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import Clients
from collectors.sqs.queues import is_fifo, name_of
from eventhub.brokers.contract import Destination, Link

__all__ = ["discover"]

MOST: Final = 1_000
_ASKED: Final = 500
"""Queues whose attributes are asked for: each is a call."""
_PAGES: Final = 20
_RULES: Final = 100
_Structure = list[Destination]


def discover(config: SQSConfig) -> list[Destination]:
    """Topics and buses first, then queues. SNS and EventBridge are left out where they may not be
    asked, or where the endpoint does not serve them. Raises BrokerError."""
    clients = Clients(config, attempts=2, connections=AT_ONCE)
    try:
        queues = _queues(clients.get("sqs"), config)
        found: _Structure = []
        for service, look in (("sns", _topics), ("events", _buses)):
            try:
                found += look(clients.get(service))
            except (ClientError, BotoCoreError):
                continue
    finally:
        clients.close()
    return [*found, *queues][:MOST]


def _queues(sqs: Any, config: SQSConfig) -> list[Destination]:
    urls = list_queues(sqs, config)[:MOST]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = [facts for facts in ask_queues(sqs, urls[:_ASKED], pool) if facts is not None]
    sources: dict[str, list[QueueFacts]] = defaultdict(list)
    for facts in told:
        if facts.dead_letter_queue is not None:
            sources[facts.dead_letter_queue].append(facts)
    by_url = {facts.url: facts for facts in told}
    return [_queue(url, by_url.get(url), sources.get(name_of(url), [])) for url in urls]


def _queue(url: str, facts: QueueFacts | None, sources: list[QueueFacts]) -> Destination:
    name = name_of(url)
    links: tuple[Link, ...] = ()
    if facts is not None and facts.dead_letter_queue is not None:
        detail = f"after {facts.most_receives} receives"
        links = (Link(facts.dead_letter_queue, "redrive", detail),)
    detail = "order kept in each group" if is_fifo(name) else "order not kept"
    if sources:
        detail = f"dead letters of {', '.join(facts.name for facts in sources[:5])}"
    return Destination(
        name, "FIFO queue" if is_fifo(name) else "queue", detail,
        dead_letters=bool(sources), links=links,
    )  # fmt: skip


def _topics(sns: Any) -> list[Destination]:
    """Two calls for each hundred: topics, and subscriptions of all topics."""
    links: dict[str, list[Link]] = defaultdict(list)
    for each in _pages(sns, "list_subscriptions", "Subscriptions"):
        if each["Protocol"] == "sqs":
            links[each["TopicArn"]].append(Link(name_of(each["Endpoint"]), "subscription"))
    topics = [each["TopicArn"] for each in _pages(sns, "list_topics", "Topics")]
    return [
        Destination(
            arn,
            "SNS FIFO topic" if is_fifo(arn) else "SNS topic",
            f"{len(links[arn])} queues",
            links=tuple(links[arn]),
        )
        for arn in topics
    ]


def _buses(events: Any) -> list[Destination]:
    buses = events.list_event_buses().get("EventBuses", ())
    return [_bus(events, bus["Name"], bus["Arn"]) for bus in buses]


def _bus(events: Any, name: str, arn: str) -> Destination:
    links: list[Link] = []
    rules = events.list_rules(EventBusName=name, Limit=_RULES).get("Rules", ())
    for rule in rules:
        targets = events.list_targets_by_rule(Rule=rule["Name"], EventBusName=name)
        detail = rule.get("EventPattern") or rule.get("ScheduleExpression", "")
        links += [
            Link(name_of(target["Arn"]), "rule", f"{rule['Name']}: {detail}")
            for target in targets.get("Targets", ())
        ]
    return Destination(arn, "EventBridge bus", f"{len(rules)} rules", links=tuple(links))


def _pages(client: Any, call: str, field: str) -> Iterable[dict[str, Any]]:
    for page in islice(client.get_paginator(call).paginate(), _PAGES):
        yield from page.get(field, ())
