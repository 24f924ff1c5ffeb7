"""Observing by subscriptions, and saying honestly what they may have missed.

A tap's subscription is not durable: a durable one would leave an unbounded backlog on the broker
for as long as EventHub is away. So every end of a connection is a gap, from the last sign of life
to the next subscription. The moment of loss goes into the source's checkpoint, so that it outlives
this process; a source that ended without noticing (stopped, or killed) has the gap from when it
was last seen. A queue that is consumed keeps its messages, so there is no gap.
"""

import time
from typing import Final

import msgspec

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.feed import Feed
from collectors.activemq.feeds import open_feed
from collectors.activemq.wire import now
from eventhub.brokers.contract import Delivery, Gap, Observation, Received
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Consumer"]

_LOSS: Final = "loss"
_UNSETTLED: Final = "unsettled"


class Loss(msgspec.Struct, frozen=True):
    """How the last connection ended; kept in the checkpoint until its gap is stored."""

    at: int
    """Last sign of life, in milliseconds."""
    why: str


class Consumer:
    """`tap` and `consume`; see `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: ActiveMQConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._takes = config.mode == "consume"
        self._feed: Feed | None = None
        self._gap: Gap | None = None
        self._loss_told = False
        self._unsettled = 0
        self._may_come_again = 0

    def open(self) -> None:
        names = self._config.names()
        if not names:
            raise PermanentFailure(
                "No destination is chosen.", way_out="Choose at least one topic or queue."
            )
        feed = open_feed(self._config, f"{self._config.mode}-{self._observation.source_id}")
        try:
            feed.subscribe(names, takes=self._takes)
        except BaseException:
            feed.close()
            raise
        self._feed = feed
        self._loss_told = False
        self._gap = None if self._takes else self._missed()
        self._unsettled = 0
        self._may_come_again = int(self._observation.checkpoint.get(_UNSETTLED, "0"))

    def receive(self, max_messages: int, max_wait: float) -> Received:
        if self._gap is not None:
            gap, self._gap = self._gap, None
            return Received([], [gap], {_LOSS: ""})
        feed = self._live()
        deadline = time.monotonic() + max_wait
        wait = 0.0
        while True:
            feed.pump(wait)
            deliveries, token = feed.take(max_messages)
            if deliveries:
                return self._received(deliveries, token)
            if feed.lost:
                return self._tell_loss(feed)
            wait = deadline - time.monotonic()
            if wait <= 0:
                return Received([])

    def settle(self, received: Received) -> None:
        if self._takes and received.token is not None:
            self._live().settle(received.token)
            self._unsettled -= len(received.deliveries)

    def keep_alive(self) -> None:
        """Read ahead into our own memory, so that nothing piles up for us on the broker."""
        if self._feed is not None:
            self._feed.pump(0)

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _received(self, deliveries: list[Delivery], token: object) -> Received:
        """Artemis counts the deliveries of a lost connection at times, and at times does not: with
        them comes how many may come again, and then that many first ones are marked as such."""
        if not self._takes or self._config.classic:
            return Received(deliveries, token=token)
        again = min(self._may_come_again, len(deliveries))
        self._may_come_again -= again
        for place in range(again):
            deliveries[place] = msgspec.structs.replace(deliveries[place], redelivered=True)
        self._unsettled += len(deliveries)
        return Received(deliveries, checkpoint={_UNSETTLED: str(self._unsettled)}, token=token)

    def _live(self) -> Feed:
        if self._feed is None:
            raise NotConnected("The source is not connected.")
        if self._loss_told:
            raise NotConnected(self._feed.lost)
        return self._feed

    def _tell_loss(self, feed: Feed) -> Received:
        """The moment of the loss, to be stored; the next `receive` raises."""
        self._loss_told = True
        if self._takes:
            raise NotConnected(feed.lost)
        loss = Loss(feed.heard, feed.lost)
        return Received([], checkpoint={_LOSS: msgspec.json.encode(loss).decode()})

    def _missed(self) -> Gap | None:
        """What may have been missed before the subscription that was just made."""
        stored = self._observation.checkpoint.get(_LOSS)
        if stored:
            loss = msgspec.json.decode(stored, type=Loss)
            return Gap(loss.why, min(loss.at, now()), now())
        seen = self._observation.last_seen
        if seen is None:
            return None
        reason = "The source was not subscribed, and a topic keeps nothing for who is away."
        return Gap(reason, min(seen, now()), now())
