"""Going on where a page, or the feed from Redis, stopped: what to read, and what was seen.

Commit order is not id order: an event with an earlier id may be committed after a later one was
shown. So reading begins a little before the cursor, and what was seen is dropped.
"""

from collections import deque
from typing import Final

import msgspec

from eventhub.live.screen import MOST_CAUGHT_UP, Hole
from eventhub.store.contract import Page, Window

__all__ = ["Plan", "Recent", "plan", "unread"]

OVERLAP: Final = 5_000
"""Milliseconds before the cursor that are read again."""
HORIZON: Final = 5 * 60_000
"""Milliseconds: how far back a page is brought up to date."""


BEFORE: Final = 60_000
"""Milliseconds before it opened that a page begins with, so that a rare event is not waited for."""
MOST_BEFORE: Final = 200


class Plan(msgspec.Struct, frozen=True):
    window: Window
    """What to read."""
    limit: int
    hole: Hole | None = None
    """What lies too far back to be read."""


def plan(since: int | None, now: int) -> Plan:
    """What a page needs that has seen everything up to `since`, or nothing yet, at `now` (ms)."""
    # The end is a little ahead: another host's clock may be, and its events are already stored.
    end = now + OVERLAP
    if since is None:
        return Plan(Window(now - BEFORE, end), MOST_BEFORE)
    seen = min(since, now)
    earliest = now - HORIZON
    hole = Hole(seen, earliest, "from before the last 5 minutes") if seen < earliest else None
    return Plan(Window(max(seen - OVERLAP, earliest), end), MOST_CAUGHT_UP, hole)


def unread(page: Page, window: Window, seen: int) -> Hole | None:
    """The part between what was seen (ms) and where a newest-first search had to stop."""
    start = max(window.start, seen)
    if page.cursor is None or page.searched_back_to <= start:
        return None
    return Hole(start, page.searched_back_to, "more than can be read at once")


class Recent:
    """Which events came by lately, and in which order: bounded by number.

    `mark` names a moment; `since(id, mark)` tells whether an event came after it.
    """

    def __init__(self, room: int = 100_000) -> None:
        self._room = room
        self._order: dict[bytes, int] = {}
        self._batches: deque[list[bytes]] = deque()
        self.mark = 0

    def __len__(self) -> int:
        return len(self._order)

    def since(self, event_id: bytes, mark: int) -> bool:
        return self._order.get(event_id, 0) > mark

    def add(self, ids: list[bytes]) -> None:
        self.mark += 1
        self._batches.append(ids)
        self._order.update(dict.fromkeys(ids, self.mark))
        while len(self._order) > self._room and len(self._batches) > 1:
            for event_id in self._batches.popleft():
                self._order.pop(event_id, None)
