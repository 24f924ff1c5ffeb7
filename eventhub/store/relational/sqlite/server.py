"""The one process that writes events: it serves collectors and retention over a Unix socket."""

import fcntl
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec

from eventhub.store.contract import StoreUnavailable, Superseded
from eventhub.store.relational.sqlite import wire
from eventhub.store.relational.sqlite.retention import SqliteRetention
from eventhub.store.relational.sqlite.wire import Answer
from eventhub.store.relational.sqlite.writer import SqliteWriter

__all__ = ["AlreadyRunning", "WriterLock", "WriterServer"]

logger = logging.getLogger(__name__)

_READ: Final = 1 << 20
_TICK: Final = 1.0
"""Seconds between two looks whether to end, while nothing comes."""
_GRACE: Final = 2.0
"""Seconds that clients get to hand in their last batch when the process is told to end."""
_SEND_PATIENCE: Final = 2.0
"""Seconds that a client may take to read its answer."""


class AlreadyRunning(Exception):
    """Another process writes these events."""


class WriterLock:
    """Held by the process that writes, until it ends in whatever way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> "WriterLock":
        self._file = self._path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            raise AlreadyRunning(
                f"Process {holder} already writes the events in {self._path.parent}."
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return self

    def __exit__(self, *reason: object) -> None:
        assert self._file is not None
        self._file.close()


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = bytearray()

    def receive(self) -> bool:
        """Take what has come; false when the client has left."""
        while True:
            try:
                piece = self.connection.recv(_READ)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not piece:
                return False
            self._received += piece

    def take(self) -> wire.Request | None:
        """Its request, once it is complete. Raises msgspec.MsgspecError."""
        if len(self._received) < wire.LENGTH:
            return None
        end = wire.LENGTH + wire.read_length(self._received)
        if len(self._received) < end:
            return None
        body = bytes(memoryview(self._received)[wire.LENGTH : end])
        del self._received[:end]
        return wire.decode(body)

    def answer(self, answer: Answer) -> None:
        """A client that has left, or does not read, never holds up the others for long."""
        self.connection.settimeout(_SEND_PATIENCE)
        try:
            self.connection.sendall(wire.encode(answer))
        except OSError as error:
            logger.warning("A client did not take its answer: %s", error)
        self.connection.setblocking(False)


Asked = tuple[_Client, Any]


class WriterServer:
    """Serves until `ending()` is true and the clients have left, or two seconds have passed.

    One thread: a second one that decodes would take the interpreter's lock between any two rows
    that the first inserts. What waits when a commit ends is committed together.
    """

    def __init__(self, alias: str, ending: Callable[[], bool], *, watch: int | None = None) -> None:
        """`watch`: a file descriptor at whose end this process is to end."""
        self._alias = alias
        self._told_to_end = ending
        self._watch = watch
        self._ended_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._clients: dict[int, _Client] = {}
        self._writer = SqliteWriter(alias)
        self._retention = SqliteRetention(alias)

    def serve(self) -> None:
        address = wire.socket_path(self._alias)
        listener = _listen(address)
        self._selector.register(listener, selectors.EVENT_READ)
        if self._watch is not None:
            self._selector.register(self._watch, selectors.EVENT_READ)
        try:
            while not self._finished():
                self._step(listener)
        finally:
            address.unlink(missing_ok=True)
            listener.close()
            self._selector.close()

    def _finished(self) -> bool:
        if self._ended_at is None:
            if self._told_to_end():
                self._ended_at = time.monotonic()
            return False
        return not self._clients or time.monotonic() - self._ended_at > _GRACE

    def _step(self, listener: socket.socket) -> None:
        asked: list[Asked] = []
        for key, _ in self._selector.select(_TICK if self._ended_at is None else _GRACE / 10):
            if key.fileobj is listener:
                self._accept(listener)
            elif key.fd == self._watch:
                self._read_watch()
            else:
                self._read(self._clients[key.fd], asked)
        self._serve(asked)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _read_watch(self) -> None:
        assert self._watch is not None
        if not os.read(self._watch, 1024):
            self._selector.unregister(self._watch)
            self._ended_at = time.monotonic()

    def _read(self, client: _Client, asked: list[Asked]) -> None:
        """What a client has sent in whole counts even if it has left since."""
        stays = client.receive()
        try:
            if (request := client.take()) is not None:
                asked.append((client, request))
        except msgspec.MsgspecError as error:
            logger.warning("A client sent what is no request: %s", error)
            stays = False
        if not stays:
            self._leave(client)

    def _leave(self, client: _Client) -> None:
        self._selector.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()

    def _serve(self, asked: list[Asked]) -> None:
        """Batches first: whoever asks where to go on must hear of every batch sent before."""
        writes = [pair for pair in asked if isinstance(pair[1], wire.Write)]
        if writes:
            self._write(writes)
        for client, request in asked:
            if not isinstance(request, wire.Write):
                client.answer(_answer_of(self._outcome(request)))

    def _write(self, writes: list[Asked]) -> None:
        outcomes: list[Any]
        try:
            outcomes = [*self._writer.write_all([request.batch for _, request in writes])]
        except StoreUnavailable as error:
            logger.error("Nothing is written: %s", error)
            outcomes = [error] * len(writes)
            self._writer = SqliteWriter(self._alias)
        for (client, _), outcome in zip(writes, outcomes, strict=True):
            client.answer(_answer_of(outcome))

    def _outcome(self, request: wire.Request) -> Any:
        try:
            match request:
                case wire.Touch(source_id, now, epoch, share):
                    return self._writer.touch(source_id, now, epoch, share)
                case wire.Resume(source_id, share, shares):
                    return self._writer.resume(source_id, share, shares)
                case wire.Sources():
                    return self._retention.sources()
                case wire.Prune(source_id, older_than, max_bytes):
                    return self._retention.prune(
                        source_id, older_than=older_than, max_bytes=max_bytes
                    )
                case wire.Forget(source_id):
                    return self._retention.forget(source_id)
        except Exception as error:
            if not isinstance(error, StoreUnavailable | Superseded):
                logger.exception("A request failed")
            return error


def _answer_of(outcome: Any) -> Answer:
    if isinstance(outcome, Exception):
        return Answer(error=str(outcome) or type(outcome).__name__, kind=_kind(outcome))
    return Answer(msgspec.Raw(msgspec.msgpack.encode(outcome)))


def _kind(error: Exception) -> Literal["unavailable", "superseded", "failed"]:
    if isinstance(error, Superseded):
        return "superseded"
    return "unavailable" if isinstance(error, StoreUnavailable) else "failed"


def _listen(address: Path) -> socket.socket:
    """A socket that only this user can connect to."""
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(address))
    finally:
        os.umask(mask)
    listener.listen(128)
    listener.setblocking(False)
    return listener
