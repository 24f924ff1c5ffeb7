"""Redis Pub/Sub, on Redis 5 and later and on Valkey."""

from collections.abc import Iterator
from typing import ClassVar

from collectors.redis_pubsub.check import check_connection
from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.consumer import RedisConsumer
from collectors.redis_pubsub.dead_letters import ACCESS, DeadLetters
from collectors.redis_pubsub.depth import DepthProbe
from collectors.redis_pubsub.discovery import discover
from collectors.redis_pubsub.publisher import RedisPublisher
from collectors.redis_pubsub.reader import StreamReader
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Capabilities,
    Completeness,
    Destination,
    Mode,
    Observation,
    ReadSafety,
    StartFrom,
    Step,
)

__all__ = ["RedisPubSub"]


class RedisPubSub:
    """The adapter."""

    kind: ClassVar[str] = "redis_pubsub"
    title: ClassVar[str] = "Redis Pub/Sub"
    config: ClassVar[type[BrokerConfig]] = RedisPubSubConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(
            Mode(
                name="tap",
                safety=ReadSafety.HARMLESS,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW,),
                effect=(
                    "Subscribes as one more subscriber. Publishers and other subscribers notice"
                    " nothing; a PUBLISH counts one receiver more."
                ),
                blind_spot=(
                    "What is published while we are not connected: Redis keeps nothing. Each such"
                    " span is shown as a gap."
                ),
            ),
            Mode(
                name="log",
                safety=ReadSafety.HARMLESS,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW, StartFrom.EARLIEST, StartFrom.TIME),
                effect=(
                    "Reads streams with XREAD, as any number of readers may. No group is made and"
                    " nothing is acknowledged."
                ),
                blind_spot=(
                    "Entries that a limit removed before they were read; from Redis 7 a gap says"
                    " how many."
                ),
            ),
        ),
        publishes_to="channel, or one of the source's streams",
        dead_letters=ACCESS,
    )

    def consumer(
        self, config: RedisPubSubConfig, observation: Observation
    ) -> RedisConsumer | StreamReader:
        if config.mode == "log":
            return StreamReader(config, observation)
        return RedisConsumer(config, observation)

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
        """There are none: the server forgets a subscription with its connection."""
