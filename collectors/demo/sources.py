"""The sources through which EventHub observes the city."""

import logging
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from django.db.models import QuerySet
from pydantic import SecretStr, ValidationError
from redis.connection import parse_url

from collectors.demo.city import SCENARIOS
from collectors.demo.rabbitmq_bus import exchanges
from collectors.demo.scenario import Scenario
from collectors.rabbitmq.config import RabbitMQConfig
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.config import BrokerConfig
from eventhub.sources import changes
from eventhub.sources.choices import Choices
from eventhub.sources.credentials import CredentialsLocked
from eventhub.sources.models import Source

__all__ = ["Wanted", "any_left", "delete_all", "ensure", "wanted"]

logger = logging.getLogger(__name__)

PREFIX: Final = "demo-"
_Desired = Source.Desired


class Wanted(NamedTuple):
    """A source that the demo needs."""

    name: str
    kind: str
    config: BrokerConfig


def wanted(redis_url: str, rabbitmq_url: str | None, on_rabbitmq: frozenset[str]) -> list[Wanted]:
    """One source a scenario; `on_rabbitmq` are the names of those that run over RabbitMQ."""
    found = []
    for scenario in SCENARIOS:
        name = f"{PREFIX}{scenario.name}"
        if rabbitmq_url is not None and scenario.name in on_rabbitmq:
            config: BrokerConfig = _rabbitmq_config(rabbitmq_url, scenario)
            found.append(Wanted(f"{name}-rabbitmq", "rabbitmq", config))
        else:
            found.append(Wanted(name, "redis_pubsub", _redis_config(redis_url, scenario)))
    return found


def ensure(source: Wanted) -> bool:
    """Make it there, or bring its configuration up to date. A person's stop is respected.

    False while one of this name is still being removed: ask again later. Raises ChangeRefused.
    """
    choices = Choices(name=source.name, environment="demo")
    stored = Source.objects.filter(name=source.name).first()
    if stored is None:
        changes.create(source.kind, choices, source.config, running=True)
        logger.info("The source %s is there and started.", source.name)
        return True
    if stored.desired == _Desired.DELETED:
        return False
    if _differs(stored, source.config):
        changes.update(
            stored, Choices.of(stored), source.config, revision=stored.revision, running=False
        )
    if stored.desired == _Desired.STOPPED:
        logger.info("The source %s stays stopped, as somebody left it.", source.name)
    return True


def any_left() -> bool:
    """Whether a demo source is left that is not being removed."""
    return _demo_sources().exists()


def delete_all() -> list[str]:
    """Have all demo sources and their events removed. Returns their names."""
    names = []
    for source in _demo_sources():
        changes.delete(source, source.name)
        names.append(source.name)
    return names


def _differs(stored: Source, config: BrokerConfig) -> bool:
    try:
        return stored.configuration() != config
    except (ValidationError, CredentialsLocked):
        return True


def _demo_sources() -> "QuerySet[Source]":
    demo = Source.objects.filter(environment=Source.Environment.DEMO, name__startswith=PREFIX)
    return demo.exclude(desired=_Desired.DELETED)


def _redis_config(url: str, scenario: Scenario) -> RedisPubSubConfig:
    parts = parse_url(url)
    password = parts.get("password")
    return RedisPubSubConfig(
        host=parts.get("host", "localhost"),
        port=parts.get("port", 6379),
        tls=url.startswith("rediss:"),
        user=parts.get("username") or "",
        password=SecretStr(password) if password else None,
        patterns=[f"{family}.*" for family in scenario.families],
    )


def _rabbitmq_config(url: str, scenario: Scenario) -> RabbitMQConfig:
    parts = urlsplit(url)
    tls = parts.scheme == "amqps"
    return RabbitMQConfig(
        host=parts.hostname or "localhost",
        port=parts.port or (5671 if tls else 5672),
        tls=tls,
        user=unquote(parts.username or "guest"),
        password=SecretStr(unquote(parts.password or "guest")),
        virtual_host=unquote(parts.path[1:]) or "/",
        exchanges=exchanges(scenario),
    )
