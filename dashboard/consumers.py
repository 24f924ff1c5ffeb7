"""The websocket of the live page, `/ws/live/`: JSON texts both ways, each with a `type`.

The page says

- `subscribe` {filter, cursor}: a query, and the `cursor` of the last frame if it was here before.
  It may subscribe again at any time, with another filter.
- `ack` {n}: it has frame n. At most MOST_UNACKNOWLEDGED frames wait for one; a page that lags gets
  fewer frames with the same exact counts and no more rows, never older ones.

The server says

- `ready` {filter}: frames for this filter follow; what is observed from now on is in them.
- `error` {message, position}: the filter cannot be read; the one before it stays.
- `refused` {reason, message}: said before closing. Reasons: `signed-out`, `no-role`,
  `not-understood`, and `busy` (try again later).
- `frame`, ten a second at most and one a second at least: what happened from `start` to `end` (ms).
  `n`; `cursor`, where to go on after a reconnect; `trouble`, why no events come, or null;
  `passed`, events observed; `matched` of them by the filter; `unchecked`, too long to look into;
  `types`, pairs of type and count, and `other_types`, the count of the rest;
  `events`, rows to draw, oldest first: a fair sample when there are more than a page can draw;
  `again`, rows read from the store that lie before the cursor: new only if the page lacks them;
  `gaps`, {source, gap}: what a source may have missed; `holes`: what this page skips but the
  history has. A row is {id, time, source, destination, type, key, size, preview, flags}.

Pausing is the page's own affair. Signing out ends the session, and with it the socket.
"""

import asyncio
import logging
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final

import msgspec
from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError

from dashboard.live.filters import Viewer
from dashboard.live.hub import Hub, hub_of_this_loop
from dashboard.live.messages import (
    Ack,
    Subscribe,
    decode,
    error_message,
    frame_message,
    ready_message,
    refused_message,
    time_of_cursor,
)
from dashboard.live.reading import Busy
from dashboard.live.stored import milliseconds
from dashboard.permissions import may
from eventhub.query.errors import QueryError

__all__ = ["LiveConsumer"]

logger = logging.getLogger(__name__)

MOST_UNACKNOWLEDGED: Final = 3
FRAME_EVERY: Final = 0.1
"""Seconds between two frames, when there is news."""
SIGN_OF_LIFE_EVERY: Final = 1.0
SESSION_CHECKED_EVERY: Final = 2.0

_REFUSALS: Final = {
    "signed-out": (4401, "You are signed out."),
    "no-role": (4403, "Your account may not see events. Ask an admin for a role."),
    "busy": (1013, "EventHub is too busy to tell who you are."),
    "not-understood": (4400, "The page and the server do not understand each other. Reload it."),
}


class LiveConsumer(AsyncWebsocketConsumer):
    def __init__(self) -> None:
        super().__init__()
        self._viewer: Viewer | None = None
        self._is_ready = False
        """Whether the page knows that the frames are for this filter."""
        self._tasks: list[asyncio.Task[None]] = []
        self._sent = self._acknowledged = 0
        self._room = asyncio.Event()
        self._room.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # A server that is stopped cancels this without a word to `disconnect`.
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels would close old database connections first, in the one thread that all requests
        # share: an ack would wait behind a slow page. This consumer has threads of its own.
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        # Accepted before it may be refused: a close before that is a bare 403 without a reason.
        await self.accept()
        self._hub: Hub = hub_of_this_loop()
        self._session_key: str | None = self.scope["session"].session_key
        if refusal := await self._refusal():
            await self._refuse(refusal)
            return
        self._tasks.append(asyncio.create_task(self._watch_session()))

    def _end(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if self._viewer:
            self._hub.leave(self._viewer)
            self._viewer = None

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = decode(text_data or "")
            cursor = time_of_cursor(message.cursor) if isinstance(message, Subscribe) else None
        except (msgspec.MsgspecError, ValueError):
            await self._refuse("not-understood")
            return
        if isinstance(message, Ack):
            self._acknowledged = max(self._acknowledged, min(message.n, self._sent))
            if self._sent - self._acknowledged < MOST_UNACKNOWLEDGED:
                self._room.set()
        elif self._tasks:
            await self._subscribe(message.filter, cursor)

    async def _subscribe(self, text: str, cursor: int | None) -> None:
        try:
            viewer = await self._hub.join(text, cursor)
        except QueryError as problem:
            await self.send(error_message(problem.message, problem.position))
            return
        if not self._tasks:  # Refused meanwhile.
            self._hub.leave(viewer)
            return
        if self._viewer:
            self._hub.leave(self._viewer)
        else:
            self._tasks.append(asyncio.create_task(self._send_frames()))
        self._viewer, self._is_ready = viewer, False
        await self._hub.opened()
        await self.send(ready_message(text))
        self._is_ready = True

    async def _send_frames(self) -> None:
        idle = 0.0
        while True:
            await asyncio.sleep(FRAME_EVERY)
            await self._room.wait()
            assert self._viewer is not None
            idle += FRAME_EVERY
            has_news = self._viewer.screen.has_news or idle >= SIGN_OF_LIFE_EVERY
            if not has_news or not self._is_ready:
                continue
            idle = 0.0
            await self._send_frame(self._viewer)

    async def _send_frame(self, viewer: Viewer) -> None:
        self._sent += 1
        if self._sent - self._acknowledged >= MOST_UNACKNOWLEDGED:
            self._room.clear()
        piece = viewer.screen.cut(milliseconds())
        await self.send(frame_message(self._sent, piece, self._hub.confirmed, self._hub.trouble))

    async def _watch_session(self) -> None:
        while True:
            await asyncio.sleep(SESSION_CHECKED_EVERY)
            refusal = await self._refusal()
            if refusal and refusal != "busy":
                await self._refuse(refusal)
                return

    async def _refusal(self) -> str | None:
        """Why this page may not look (any more); None when it may."""
        try:
            return await self._hub.checks.run(lambda: _refusal_of(self._session_key))
        except (Busy, DatabaseError):
            return "busy"

    async def _refuse(self, reason: str) -> None:
        code, words = _REFUSALS[reason]
        await self.send(refused_message(reason, words))
        await self.close(code)
        self._end()


def _refusal_of(session_key: str | None) -> str | None:
    if session_key is None:
        return "signed-out"
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(SimpleNamespace(session=session))  # type: ignore[arg-type]
    if not user.is_authenticated:
        return "signed-out"
    return None if may(user, "see") else "no-role"
