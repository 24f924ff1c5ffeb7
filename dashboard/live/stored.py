"""What the hub asks the store: what pages missed, and payloads too long for a frame."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Final

from django.db import DatabaseError

from dashboard.live.filters import Filter, Viewer
from dashboard.live.reading import Busy, Reading
from eventhub.events.event import Event
from eventhub.live.catchup import Plan, Recent, plan, unread
from eventhub.live.rows import row_of
from eventhub.live.screen import Hole
from eventhub.store.contract import Page, StoreUnavailable
from eventhub.store.engine import open_reader

__all__ = ["Stored", "milliseconds"]

logger = logging.getLogger(__name__)

MOST_LOOKED_UP: Final = 100
"""Long payloads of one frame that are read whole for one filter."""
SECONDS_TO_SEARCH: Final = 1.0
STILL_COMING: Final = 15.0
"""Seconds in which a frame may yet bring what was read from the store."""

_NO_ANSWER: Final = (Busy, StoreUnavailable, DatabaseError)


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Stored:
    def __init__(self) -> None:
        self._reading = Reading("live-store", threads=2, queue=50, seconds=10.0)

    async def bring(
        self,
        chosen: Filter,
        viewers: Iterable[Viewer],
        since: int | None,
        sources: Mapping[int, str],
        recent: Recent,
        mark: int,
    ) -> None:
        """Show pages what matched after `since` (ms), but nothing that came by after `mark`.

        What cannot be read is put on the screens as a hole. A page that just opened (`since` is
        None) begins with the last minute, which counts as seen before and leaves no hole.
        """
        now = milliseconds()
        todo = plan(since, now)
        holes = [todo.hole] if todo.hole else []
        try:
            page = await self._search(chosen, todo, sources)
        except _NO_ANSWER as problem:
            logger.warning("Live pages could not catch up: %s", problem)
            events: list[Event] = []
            lost = Hole(todo.window.start, now, "passed while the store did not answer")
            holes += [lost] if since is not None else []
        else:
            events = [event for event in page.events if not recent.since(event.id, mark)]
            rest = None if since is None else unread(page, todo.window, since)
            holes += [rest] if rest else []
        rows = [row_of(event, sources[event.source_id]) for event in reversed(events)]
        ids = {event.id for event in events}
        for viewer in chosen.viewers.intersection(viewers):
            new = [row for row in rows if row.time >= viewer.since]
            viewer.screen.catch_up(new, [row for row in rows if row.time < viewer.since])
            for hole in holes:
                viewer.screen.add_hole(hole)
            self._remember(viewer, ids)

    async def _search(self, chosen: Filter, todo: Plan, sources: Mapping[int, str]) -> Page:
        return await self._reading.run(
            lambda: open_reader().search(
                chosen.node,
                todo.window,
                sources=dict(sources),
                limit=todo.limit,
                seconds=SECONDS_TO_SEARCH,
            )
        )

    def _remember(self, viewer: Viewer, ids: set[bytes]) -> None:
        viewer.delivered |= ids
        asyncio.get_running_loop().call_later(STILL_COMING, viewer.delivered.difference_update, ids)

    async def show_whole(
        self, chosen: Filter, cut: list[Event], sources: Mapping[int, str]
    ) -> None:
        """Evaluate a filter on payloads that a frame cut short. Above a number, or where the
        store does not answer, the page is told how many were not looked into."""
        ids = [event.id for event in cut[:MOST_LOOKED_UP]]
        unchecked = len(cut) - len(ids)
        try:
            whole = await self._reading.run(lambda: _get_all(ids))
        except _NO_ANSWER as problem:
            logger.warning("Long payloads were not looked into: %s", problem)
            whole, unchecked = [], len(cut)
        source = sources[cut[0].source_id]
        chosen.show(chosen.select(whole, sources, milliseconds()), source)
        if unchecked:
            for viewer in chosen.viewers:
                viewer.screen.unchecked(unchecked)


def _get_all(ids: list[bytes]) -> list[Event]:
    reader = open_reader()
    return [event for event_id in ids if (event := reader.get(event_id))]
