"""Redis Pub/Sub, on Redis 5 and later and on Valkey."""

from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from collectors.redis_pubsub.browser import MOST, Browser
from collectors.redis_pubsub.check import check_connection
from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.consumer import RedisConsumer
from collectors.redis_pubsub.dead_letters import ACCESS, DeadLetters
from collectors.redis_pubsub.depth import DepthProbe
from collectors.redis_pubsub.discovery import discover
from collectors.redis_pubsub.publisher import RedisPublisher
from collectors.redis_pubsub.reader import StreamReader
from collectors.redis_pubsub.taker import Taker, give_back_all
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Capabilities,
    Completeness,
    Consumer,
    Destination,
    Mode,
    Observation,
    ReadSafety,
    StartFrom,
    Step,
)

__all__ = ["RedisPubSub"]


_TAP = Mode(
    name="tap",
    safety=ReadSafety.HARMLESS,
    completeness=Completeness.COMPLETE,
    starts=(StartFrom.NOW,),
    effect="Subscribes as one more subscriber. Publishers and other subscribers notice nothing; a"
    " PUBLISH counts one receiver more.",
    blind_spot="What is published while we are not connected: Redis keeps nothing. Each such span"
    " is shown as a gap.",
)
_LOG = Mode(
    name="log",
    safety=ReadSafety.HARMLESS,
    completeness=Completeness.COMPLETE,
    starts=(StartFrom.NOW, StartFrom.EARLIEST, StartFrom.TIME),
    effect="Reads streams with XREAD, as any number of readers may. No group is made and nothing is"
    " acknowledged.",
    blind_spot="Entries that a limit removed before they were read; from Redis 7 a gap says how"
    " many.",
)
_BROWSE = Mode(
    name="browse",
    safety=ReadSafety.HARMLESS,
    completeness=Completeness.SAMPLED,
    starts=(StartFrom.NOW, StartFrom.EARLIEST),
    effect="Looks into lists with LRANGE, every second unless changed. Nothing is taken, and a"
    " consumer that blocks on the list is served as before.",
    blind_spot="What a consumer takes between two looks, so almost all where consumers wait for"
    f" work; what lies behind the {MOST:,} oldest elements. An element that a consumer puts back"
    " may come a second time.",
)
_CONSUME = Mode(
    name="consume",
    safety=ReadSafety.TAKES_MESSAGES,
    completeness=Completeness.COMPLETE,
    starts=(StartFrom.EARLIEST,),
    effect="TAKES the elements of these lists: what EventHub gets, no consumer of the list gets. It"
    " lies in a list of EventHub's own until it is stored.",
    blind_spot="What other consumers of the same lists take first.",
    settles=True,
)
_CONSUMERS: Final[dict[str, Callable[[RedisPubSubConfig, Observation], Consumer]]] = {
    "tap": RedisConsumer,
    "log": StreamReader,
    "browse": Browser,
    "consume": Taker,
}


class RedisPubSub:
    """The adapter."""

    kind: ClassVar[str] = "redis_pubsub"
    title: ClassVar[str] = "Redis Pub/Sub"
    config: ClassVar[type[BrokerConfig]] = RedisPubSubConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(_TAP, _LOG, _BROWSE, _CONSUME),
        publishes_to="channel, or one of the source's streams or lists",
        dead_letters=ACCESS,
    )

    def consumer(self, config: RedisPubSubConfig, observation: Observation) -> Consumer:
        return _CONSUMERS[config.mode](config, observation)

    def publisher(self, config: RedisPubSubConfig) -> RedisPublisher:
        return RedisPublisher(config)

    def depth(self, config: RedisPubSubConfig) -> DepthProbe:
        return DepthProbe(config)

    def dead_letters(self, config: RedisPubSubConfig) -> DeadLetters:
        return DeadLetters(config)

    def discover(self, config: RedisPubSubConfig) -> list[Destination]:
        return discover(config)

    def check_connection(self, config: RedisPubSubConfig) -> Iterator[Step]:
        return check_connection(config)

    def remove_traces(self, config: RedisPubSubConfig, observation: Observation) -> None:
        """The server forgets a subscription with its connection. What was taken from lists and not
        settled goes back to them."""
        if config.mode == "consume":
            give_back_all(config, observation)
