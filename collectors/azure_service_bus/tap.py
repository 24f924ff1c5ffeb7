"""The tap: a subscription of EventHub's own on each chosen topic, with a rule that is always true.

Subscriptions have no size of their own: what waits in one counts towards its topic's, and a full
topic refuses its producers. So the tap is bounded by time: its messages expire, and without
EventHub the broker removes it.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
"""

import hashlib
import re
from typing import Final

from collectors.azure_service_bus.administration import Administration, Missing
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.entities import Entity
from eventhub.brokers.contract import Observation
from eventhub.brokers.errors import PermanentFailure

__all__ = ["PROBE", "ensure", "fields", "remove", "subscription_name", "tapped"]

PROBE: Final = "eventhub-probe"
_LONGEST_NAME: Final = 50
_MAX_DELIVERIES: Final = 2000
"""The most that Service Bus allows: nothing dies in a tap because collectors crashed."""


def subscription_name(config: AzureServiceBusConfig, observation: Observation) -> str:
    """Unique to the installation and the source; letters, digits, dots, dashes, underscores."""
    if config.subscription:
        return config.subscription
    name = f"eventhub-{observation.installation}-{observation.name}"
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    if plain == name and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{plain[: _LONGEST_NAME - 11]}-{digest}"


def tapped(config: AzureServiceBusConfig, observation: Observation) -> list[Entity]:
    """The tap of each topic."""
    if not config.topics:
        raise PermanentFailure("No topic is chosen.", way_out="Choose at least one topic to tap.")
    name = subscription_name(config, observation)
    return [Entity(topic, name) for topic in config.topics]


def fields(config: AzureServiceBusConfig) -> dict[str, str]:
    """Of the subscription, in the order that the API's schema asks for."""
    keep = f"PT{config.tap_keep_minutes}M"
    return {
        "LockDuration": f"PT{config.lock_seconds}S",
        "DefaultMessageTimeToLive": keep,
        "DeadLetteringOnMessageExpiration": "false",
        "MaxDeliveryCount": str(_MAX_DELIVERIES),
        "AutoDeleteOnIdle": keep,
    }


def ensure(administration: Administration, config: AzureServiceBusConfig, tap: Entity) -> bool:
    """Make sure that the tap is there; whether it had to be made.

    Raises NotConnected or PermanentFailure.
    """
    try:
        return administration.create_subscription(tap.owner, tap.subscription, fields(config))
    except Missing as error:
        raise PermanentFailure(
            f"There is no topic {tap.owner!r}.",
            way_out="Choose among the topics that are there, or create it.",
        ) from error


def remove(administration: Administration, tap: Entity) -> None:
    """If it is there. Raises NotConnected or PermanentFailure."""
    try:
        administration.delete_subscription(tap.owner, tap.subscription)
    except Missing:
        return
