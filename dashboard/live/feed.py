"""The one subscription of a web process to the frames that collectors announce."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

import msgspec
import redis.asyncio
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from eventhub.live.frames import CHANNEL, Frame, decode_frame

__all__ = ["Feed"]

logger = logging.getLogger(__name__)

QUIET: Final = 5.0
"""Seconds without a frame before Redis is asked whether it is still there, and for its answer."""
FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 5.0


class Feed:
    """Reads frames until it is cancelled, and comes back by itself when Redis does.

    `opened` is called at each subscription, `heard` at each sign of life, `lost` with the reason
    when the connection is gone.
    """

    def __init__(
        self,
        url: str,
        *,
        opened: Callable[[], None],
        heard: Callable[[], None],
        received: Callable[[Frame], None],
        lost: Callable[[str], None],
    ) -> None:
        self._url = url
        self._opened = opened
        self._heard = heard
        self._received = received
        self._lost = lost
        self._wait = FIRST_WAIT

    async def run(self) -> None:
        while True:
            try:
                await self._read()
            except (redis.RedisError, OSError) as problem:
                logger.warning("The live feed was lost: %s", problem)
                self._lost(str(problem) or type(problem).__name__)
            # Jitter, so that many web processes do not all come back in the same moment.
            await asyncio.sleep(self._wait * random.uniform(0.5, 1))  # noqa: S311
            self._wait = min(2 * self._wait, LONGEST_WAIT)

    async def _read(self) -> None:
        # No read timeout: redis-py's default of 5 s closes an idle subscription. No retries of its
        # own either: it would subscribe again without saying that frames were lost in between.
        client = redis.asyncio.Redis.from_url(
            self._url,
            socket_timeout=None,
            socket_connect_timeout=3.0,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            async with client.pubsub() as subscription:
                await subscription.subscribe(CHANNEL)
                await self._follow(subscription)
        finally:
            await client.aclose()

    async def _follow(self, subscription: PubSub) -> None:
        asked = False
        while True:
            message = await subscription.get_message(timeout=QUIET)
            if message is None:
                if asked:
                    raise redis.ConnectionError("Redis does not answer")
                await subscription.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                self._wait = FIRST_WAIT
                self._opened()
            elif message["type"] == "message":
                self._take(message["data"])
            # After the frame: what it shows to be missing lies before this moment.
            self._heard()
            # Frames that have already arrived are read without waiting: let others work.
            await asyncio.sleep(0)

    def _take(self, data: bytes) -> None:
        try:
            frame = decode_frame(data)
        except msgspec.MsgspecError as problem:
            logger.warning("A frame of another version or sender was left out: %s", problem)
            return
        self._received(frame)
