"""The hub: one in each web process, between the feed from Redis and every open live page."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DatabaseError

from dashboard.live.feed import Feed
from dashboard.live.filters import Filter, Viewer, is_cut
from dashboard.live.reading import Busy, Reading
from dashboard.live.stored import Stored, milliseconds
from eventhub.live.catchup import Recent
from eventhub.live.frames import Frame
from eventhub.live.screen import Screen
from eventhub.sources.models import Source

__all__ = ["Hub", "hub_of_this_loop"]

logger = logging.getLogger(__name__)

NAMES_EVERY: Final = 2.0
"""Seconds between two looks at the names of the sources."""
MOST_COLLECTORS: Final = 1_000
OPENING: Final = "The live feed is being opened."


class Hub:
    """Lives in one event loop. It listens only while somebody looks."""

    def __init__(self, redis_url: str) -> None:
        self.checks = Reading("live-checks", threads=1, queue=500, seconds=10.0)
        self._stored = Stored()
        self._feed = Feed(
            redis_url,
            opened=self._opened,
            heard=self._heard,
            received=self.receive,
            lost=self._lost,
        )
        self._filters: dict[str, Filter] = {}
        self._sources: dict[int, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._forget()

    def _forget(self) -> None:
        self._recent = Recent()
        self._sequences: OrderedDict[str, int] = OrderedDict()
        self._subscribed = asyncio.Event()
        self.confirmed = milliseconds()
        """Up to when (ms) every frame has come: where a page goes on when it comes back."""
        self.trouble: str | None = OPENING
        """Why no frames come; None while they do."""

    async def join(self, text: str, cursor: int | None) -> Viewer:
        """A new page with this filter, which stopped at `cursor` (ms) if it was here before.

        Raises QueryError.
        """
        chosen = self._filters.get(text) or Filter(text)
        if not self._tasks:
            await self._read_names()
        if not self._tasks:
            self._forget()
            self._spawn(self._feed.run())
            self._spawn(self._follow_names())
        now = milliseconds()
        viewer = Viewer(Screen(now), now if cursor is None else cursor)
        self._filters.setdefault(text, chosen).viewers.add(viewer)
        self._spawn(self._resume(self._filters[text], viewer, cursor))
        return viewer

    async def opened(self) -> None:
        """Wait until frames come, but not long: Redis may be away."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._subscribed.wait(), 2.0)

    def leave(self, viewer: Viewer) -> None:
        for text, chosen in list(self._filters.items()):
            chosen.viewers.discard(viewer)
            if not chosen.viewers:
                del self._filters[text]
        if not self._filters:
            for task in self._tasks:
                task.cancel()
            self._tasks = set()

    def receive(self, frame: Frame) -> None:
        """Count and sample one frame for every filter that somebody looks through."""
        if frame.source_id not in self._sources:
            self._spawn(self._receive_of_new_source(frame))
            return
        source = self._sources[frame.source_id]
        self._note_sequence(frame)
        self._recent.add([event.id for event in frame.events])
        now = milliseconds()
        cut = [event for event in frame.events if is_cut(event)]
        for chosen in self._filters.values():
            for viewer in chosen.viewers:
                viewer.screen.passed(len(frame.events))
                viewer.screen.add_gaps(source, frame.gaps)
            events = frame.events
            if cut and chosen.needs_payload:
                events = [event for event in events if not is_cut(event)]
                self._spawn(self._stored.show_whole(chosen, cut, self._sources))
            chosen.show(chosen.select(events, self._sources, now), source)

    async def _receive_of_new_source(self, frame: Frame) -> None:
        await self._read_names()
        if frame.source_id not in self._sources:
            # Deleted a moment ago, or the database does not answer.
            self._sources = {**self._sources, frame.source_id: f"source-{frame.source_id}"}
        self.receive(frame)

    def _note_sequence(self, frame: Frame) -> None:
        last = self._sequences.pop(frame.collector, frame.sequence - 1)
        self._sequences[frame.collector] = frame.sequence
        if len(self._sequences) > MOST_COLLECTORS:
            self._sequences.popitem(last=False)
        if frame.sequence > last + 1:
            self._mend({frame.source_id: self._sources[frame.source_id]})

    def _mend(self, sources: dict[int, str]) -> None:
        """Frames were lost since `confirmed`: every page gets what it missed from the store."""
        for chosen in self._filters.values():
            self._spawn(
                self._stored.bring(
                    chosen, set(chosen.viewers), self.confirmed, sources, self._recent, mark=0
                )
            )

    async def _resume(self, chosen: Filter, viewer: Viewer, cursor: int | None) -> None:
        # Subscribed first, read then: what is committed in between comes by both ways, and is
        # told apart by the mark. When Redis is away, the store still has the past.
        mark = self._recent.mark
        await self.opened()
        await self._stored.bring(chosen, [viewer], cursor, self._sources, self._recent, mark)

    def _opened(self) -> None:
        reopened = self.trouble not in (None, OPENING)
        self.trouble = None
        self._subscribed.set()
        self._sequences.clear()
        if reopened:
            self._mend(self._sources)

    def _heard(self) -> None:
        self.confirmed = milliseconds()

    def _lost(self, reason: str) -> None:
        self.trouble = f"The live feed is interrupted: {reason}"
        self._subscribed.clear()

    async def _follow_names(self) -> None:
        while True:
            await asyncio.sleep(NAMES_EVERY)
            await self._read_names()

    async def _read_names(self) -> None:
        try:
            names = await self.checks.run(lambda: dict(Source.objects.values_list("id", "name")))
        except (Busy, DatabaseError) as problem:
            logger.warning("The names of the sources could not be read: %s", problem)
            return
        # A new mapping makes every filter compile anew: only when something changed.
        if names != self._sources:
            self._sources = names

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()):
            logger.error("A task of the live view ended", exc_info=problem)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub_of_this_loop() -> Hub:
    """Sockets and events belong to a loop; a web process has one, a test run has many."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub(settings.REDIS_URL)
    return _hubs[loop]
