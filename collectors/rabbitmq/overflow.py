"""How many messages the tap had to drop, from figures that lag behind.

RabbitMQ does not count what `drop-head` drops. For the whole life of a queue,
    dropped = published into it - first deliveries from it - waiting in it,
but its `published` comes from the management API and lags by some seconds. So the tally takes
`published` from before a look at the queue, and deliveries (our own count, exact) from after it:
the result is never too high, catches up when publishing pauses, and never falls for long.
"""

from collections import deque
from typing import Final

from collectors.rabbitmq.management import QueueFigures

__all__ = ["LAG", "Tally"]

LAG: Final = 12.0
"""Seconds after which the API's figures surely hold what happened: twice its 5 s, and some."""


class Tally:
    """The balance of one queue over one connection. Times are monotonic seconds."""

    def __init__(self, *, last_received: float, accounted: int) -> None:
        """`last_received`: when somebody may last have received from the queue before us, or from
        an earlier one of its name, which the API takes for the same for some seconds.
        `accounted`: drops that were told before, in the life of the queue."""
        self.accounted = accounted
        self.published: int | None = None
        self.reset = False
        """Whether the broker has begun to count anew: no balance before all has come to rest."""
        self._uncounted = False
        self._delivered_before_us: int | None = None
        self._own: deque[tuple[float, int]] = deque([(last_received, 0)])
        self._rest = (0.0, -1, -1, -1)

    def figures(self, at: float, figures: QueueFigures) -> None:
        """Take note of what the API said at `at`."""
        if self.published is not None and figures.published < self.published:
            self.reset = True
        # A node may be configured to keep no statistics of messages.
        self._uncounted = figures.published == 0 and self._own_at(at - LAG)[1] > 0
        self.published = figures.published
        since, own = self._own_at(at - LAG)
        if since <= at - LAG and not self.reset:
            # The API has counted at least what was delivered by `since`; so this is at least
            # what others received before us, and the balance at most what was dropped.
            before = figures.delivered - own
            known = self._delivered_before_us
            self._delivered_before_us = before if known is None else min(known, before)

    def look(self, now: float, waiting: int, own: int) -> int | None:
        """How many more were dropped, at least, than was told so far; None if that is unknown.

        `waiting` was asked of the queue after the last figures; `own`, the first deliveries that
        we received, was counted after all that had left the queue by then had arrived.
        """
        self._own.append((now, own))
        if self.published is None or self._uncounted:
            return None
        if self.reset and not self._balanced_at_rest(now, waiting, own):
            return None
        if self._delivered_before_us is None:
            return None
        dropped = self.published - self._delivered_before_us - own - waiting
        more = max(dropped - self.accounted, 0)
        self.accounted += more
        return more

    def _balanced_at_rest(self, now: float, waiting: int, own: int) -> bool:
        """After a reset: begin a new balance once nothing has moved for as long as figures lag."""
        assert self.published is not None
        state = (self.published, waiting, own)
        if self._rest[1:] != state:
            self._rest = (now, *state)
        if now - self._rest[0] < LAG:
            return False
        self._delivered_before_us = self.published - own - waiting - self.accounted
        self.reset = False
        return True

    def _own_at(self, time: float) -> tuple[float, int]:
        """Our own count at the last look up to `time`, or at the first that is known."""
        while len(self._own) > 1 and self._own[1][0] <= time:
            self._own.popleft()
        return self._own[0]
