"""One connection to a Redis server, read in batches, that never reconnects by itself.

The protocol is hiredis's and the socket is ours. redis-py was tried: its Pub/Sub hands out one
message a call (67,000 a second of 1 KB, where this brought 156,000 in the same run) and reconnects
without a word, which would hide exactly what a gap must tell.
"""

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import hiredis

from eventhub.brokers.errors import NotConnected

__all__ = ["CALL_SECONDS", "NOTHING", "Connection", "now", "wait_for_any"]

NOTHING: Final = object()
"""What `take` returns when no whole reply is here."""

CALL_SECONDS: Final = 5.0
CLOSED: Final = (
    "The server closed the connection: it stopped, somebody ended our client, or its output buffer"
    " for us was full."
)
_READ: Final = 65_536
# hiredis moves the rest of its buffer once a kilobyte has been parsed: fed with 16 KB at a time it
# parses 2 million messages of 1 KB a second, with 256 KB at a time 0.6 million.
_FEED: Final = 16_384
_HELD: Final = 64 * 1024 * 1024
"""Bytes read ahead at most. What waits here does not fill the server's output buffer."""


class Connection:
    """Wraps a connected socket, plain or TLS. After the first failure `lost` says why."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(False)
        self._reader = hiredis.Reader(notEnoughData=NOTHING)
        self._chunks: deque[bytes] = deque()
        self._offset = 0
        self._held = 0
        self.lost = ""
        self.heard = now()
        """Time of the last bytes from the server, in milliseconds."""
        self.silent_since = time.monotonic()

    def call(self, *arguments: str | bytes, seconds: float = CALL_SECONDS) -> Any:
        """Send a command and return its reply; an error reply is raised as hiredis.ReplyError.

        Raises NotConnected when the connection is lost or no reply comes in `seconds`.
        """
        deadline = time.monotonic() + seconds
        self.send(*arguments, seconds=seconds)
        reply = self.reply(deadline)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def send(self, *arguments: str | bytes, seconds: float = CALL_SECONDS) -> None:
        """Raises NotConnected, also when only a part could be sent."""
        try:
            self._socket.settimeout(max(seconds, 0.001))
            command = hiredis.pack_command(arguments)  # type: ignore[arg-type]  # stub: one argument
            self._socket.sendall(command)
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.setblocking(False)
            self.drain()  # what the server said before it closed tells more: a TLS alert
            self._fail(_words(error))
            raise NotConnected(self.lost) from error

    def reply(self, deadline: float) -> Any:
        """The next reply, waited for until `deadline` (monotonic seconds). Raises NotConnected."""
        while True:
            self.drain()
            reply = self.take()
            if reply is not NOTHING:
                return reply
            if self.lost:
                raise NotConnected(self.lost)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self._fail("The server accepts connections and does not answer.")
                raise NotConnected(self.lost)
            self.wait(remaining)

    def take(self) -> Any:
        """The next reply that is wholly here, or NOTHING. An error reply is returned."""
        try:
            while (reply := self._reader.gets()) is NOTHING:
                if not self._feed():
                    return NOTHING
        except hiredis.ProtocolError:
            self._chunks.clear()
            # Whatever it did afterwards, closing most often, this is the reason.
            self.lost = "What answers does not speak Redis's protocol."
            return NOTHING
        return reply

    def drain(self) -> None:
        """Read what has arrived, without waiting; notices when the server has closed."""
        while not self.lost and self._held < _HELD:
            try:
                chunk = self._socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except (OSError, ValueError) as error:
                self._fail(_words(error))
                return
            if not chunk:
                self._fail(CLOSED)
                return
            self._chunks.append(chunk)
            self._held += len(chunk)
            self.heard = now()
            self.silent_since = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Return when there is something to read, or after `seconds`."""
        wait_for_any([self], seconds)

    def fileno(self) -> int:
        return self._socket.fileno()

    def pending(self) -> bool:
        """Whether TLS holds bytes that the socket no longer shows."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def give_up(self, reason: str) -> None:
        """Count it as lost, for a reason that only the caller can see."""
        self._fail(reason)

    def close(self) -> None:
        self._fail("The connection is closed.")
        self._socket.close()

    def _feed(self) -> bool:
        if not self._chunks:
            return False
        chunk = self._chunks[0]
        length = min(_FEED, len(chunk) - self._offset)
        self._reader.feed(chunk, self._offset, length)
        self._offset += length
        self._held -= length
        if self._offset == len(chunk):
            self._chunks.popleft()
            self._offset = 0
        return True

    def _fail(self, reason: str) -> None:
        self.lost = self.lost or reason


def wait_for_any(connections: Sequence[Connection], seconds: float) -> None:
    """Return when one of them has something to read, or after `seconds`."""
    if any(connection.pending() for connection in connections):
        return
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    poll.poll(max(seconds, 0) * 1000)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "The server did not take what was sent in time."
    reason = getattr(error, "strerror", None) or str(error)
    return f"The connection broke: {reason}."
