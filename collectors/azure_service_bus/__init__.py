"""Azure Service Bus: topics by a subscription of EventHub's own, queues by peeking."""

from collections.abc import Iterator
from typing import ClassVar

from collectors.azure_service_bus.access import access
from collectors.azure_service_bus.administration import Administration
from collectors.azure_service_bus.browser import Browser
from collectors.azure_service_bus.check import check_connection
from collectors.azure_service_bus.config import AzureServiceBusConfig
from collectors.azure_service_bus.consumer import Consumer
from collectors.azure_service_bus.dead_letters import DeadLetters
from collectors.azure_service_bus.depth import DepthProbe
from collectors.azure_service_bus.discovery import discover
from collectors.azure_service_bus.publisher import PUBLISHES_TO, Publisher
from collectors.azure_service_bus.tap import remove, tapped
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Capabilities,
    Completeness,
    DeadLetterAccess,
    Destination,
    Mode,
    Observation,
    ReadSafety,
    StartFrom,
    Step,
)

__all__ = ["AzureServiceBus", "AzureServiceBusConfig"]

_TAP = Mode(
    name="tap",
    safety=ReadSafety.ADDS_A_BOUNDED_QUEUE,
    completeness=Completeness.COMPLETE,
    starts=(StartFrom.NOW,),
    effect="A subscription of EventHub's own on each topic gets a copy of every message."
    " Other subscriptions notice nothing. What waits in it counts towards the topic's size, so it"
    " is kept for a limited time only, and without EventHub the broker removes the subscription.",
    blind_spot="Messages sent straight to queues, messages from before the tap was there, and"
    " those whose own time to live ended before EventHub read them.",
    settles=True,
)
_BROWSE = Mode(
    name="browse",
    safety=ReadSafety.HARMLESS,
    completeness=Completeness.SAMPLED,
    starts=(StartFrom.NOW, StartFrom.EARLIEST, StartFrom.TIME),
    effect="Peeks at what waits in queues and subscriptions. Nothing is locked or taken, and no"
    " delivery count is raised.",
    blind_spot="A message that arrives and is consumed between two looks is missed.",
    settles=True,
)
_CONSUME = Mode(
    name="consume",
    safety=ReadSafety.TAKES_MESSAGES,
    completeness=Completeness.COMPLETE,
    starts=(StartFrom.EARLIEST,),
    effect="Receives and REMOVES messages from queues and subscriptions: other consumers of these"
    " do not get them. Of an entity with sessions it holds up to eight at a time. A message that"
    " comes back after a crash has a higher delivery count.",
    blind_spot="Messages that another consumer of the same queue or subscription took.",
    settles=True,
)


class AzureServiceBus:
    """The adapter; see `eventhub.brokers.contract.Adapter`."""

    kind: ClassVar[str] = "azure_service_bus"
    title: ClassVar[str] = "Azure Service Bus"
    config: ClassVar[type[BrokerConfig]] = AzureServiceBusConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(_TAP, _BROWSE, _CONSUME),
        publishes_to=PUBLISHES_TO,
        dead_letters=DeadLetterAccess(
            peeks=True,
            claims=True,
            note="Every queue and subscription has a dead-letter queue of its own. A letter that"
            " was claimed and goes back may have a higher delivery count.",
        ),
    )

    def consumer(
        self, config: AzureServiceBusConfig, observation: Observation
    ) -> Consumer | Browser:
        made = Browser if config.mode == "browse" else Consumer
        return made(config, observation)

    def publisher(self, config: AzureServiceBusConfig) -> Publisher:
        return Publisher(config)

    def depth(self, config: AzureServiceBusConfig) -> DepthProbe:
        return DepthProbe(config)

    def dead_letters(self, config: AzureServiceBusConfig) -> DeadLetters:
        return DeadLetters(config)

    def discover(self, config: AzureServiceBusConfig) -> list[Destination]:
        return discover(config)

    def check_connection(self, config: AzureServiceBusConfig) -> Iterator[Step]:
        return check_connection(config)

    def remove_traces(self, config: AzureServiceBusConfig, observation: Observation) -> None:
        """Removes the taps, unless somebody else made them."""
        if config.mode != "tap" or config.subscription:
            return
        administration = Administration(access(config))
        try:
            for tap in tapped(config, observation):
                remove(administration, tap)
        finally:
            administration.close()
