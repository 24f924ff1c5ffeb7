"""Reading databases from the event loop: few threads, short queues, no waiting without end.

Not `database_sync_to_async`: that runs every call of the process one by one in a single thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import close_old_connections

__all__ = ["Busy", "Reading"]

T = TypeVar("T")


class Busy(Exception):
    """Too many calls wait already, or this one took too long."""


class Reading:
    """`threads` calls run at a time and `queue` more wait; a call has `seconds` in all."""

    def __init__(self, name: str, *, threads: int, queue: int, seconds: float) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._room = threads + queue
        self._seconds = seconds

    async def run(self, call: Callable[[], T]) -> T:
        """The answer of `call`, from another thread. Raises Busy, and what `call` raises."""
        if not self._room:
            raise Busy("too many are reading already")
        self._room -= 1
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(self._executor, _with_fresh_connections, call)
        task.add_done_callback(self._done)
        try:
            # Shielded: a thread cannot be stopped, so it keeps its place until it is done.
            return await asyncio.wait_for(asyncio.shield(task), self._seconds)
        except TimeoutError as problem:
            raise Busy(f"no answer within {self._seconds:g} s") from problem

    def _done(self, task: "asyncio.Future[T]") -> None:
        self._room += 1
        if not task.cancelled():
            task.exception()  # Heard, even when nobody waits any more.


def _with_fresh_connections(call: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()
