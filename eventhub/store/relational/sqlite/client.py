"""The store as the processes see it that do not write events themselves."""

import socket
from typing import Any, Final

import msgspec

from eventhub.store import contract
from eventhub.store.contract import Batch, Pruned, StoreUnavailable, Superseded, Written
from eventhub.store.relational.sqlite import wire
from eventhub.store.relational.sqlite.wire import Answer

__all__ = ["SqliteRetentionClient", "SqliteWriterClient"]

_PATIENCE: Final = 15.0
"""Seconds to wait for an answer: well within the time after which a broker gives a consumer up."""

_ERRORS: Final = {
    "unavailable": StoreUnavailable,
    "superseded": Superseded,
    "failed": RuntimeError,
}


class _Peer:
    """One connection, opened when it is needed and again after it broke."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._socket: socket.socket | None = None

    def ask(self, request: wire.Request, expected: Any) -> Any:
        """Raises StoreUnavailable, Superseded, and RuntimeError if the request cannot be fulfilled
        ever."""
        try:
            connection = self._connected()
            connection.sendall(wire.encode(request))
            answer = msgspec.msgpack.decode(self._receive(connection), type=Answer)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self.close()
            raise StoreUnavailable("`manage.py write_events` is not running") from error
        except (OSError, EOFError) as error:
            self.close()
            raise StoreUnavailable(f"no answer from the process that writes events: {error}") from (
                error
            )
        if answer.error is not None:
            raise _ERRORS[answer.kind](answer.error)
        return msgspec.msgpack.decode(answer.result, type=expected)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(_PATIENCE)
            self._socket.connect(str(wire.socket_path(self._alias)))
        return self._socket

    def _receive(self, connection: socket.socket) -> bytes:
        return self._read(connection, wire.read_length(self._read(connection, wire.LENGTH)))

    def _read(self, connection: socket.socket, length: int) -> bytes:
        body = bytearray()
        while len(body) < length:
            piece = connection.recv(length - len(body))
            if not piece:
                raise EOFError("it has ended")
            body += piece
        return bytes(body)


class SqliteWriterClient:
    """An `EventWriter` that lets `manage.py write_events` write."""

    def __init__(self, alias: str) -> None:
        self._peer = _Peer(alias)

    def write(self, batch: Batch) -> Written:
        written: Written = self._peer.ask(wire.Write(batch), Written)
        return written

    def touch(self, source_id: int, now: int, epoch: int | None = None, share: int = 0) -> None:
        self._peer.ask(wire.Touch(source_id, now, epoch, share), None)

    def resume(self, source_id: int, share: int = 0, shares: int = 1) -> contract.Resume:
        request = wire.Resume(source_id, share, shares)
        resume: contract.Resume = self._peer.ask(request, contract.Resume)
        return resume

    def close(self) -> None:
        self._peer.close()


class SqliteRetentionClient:
    """An `EventRetention` that lets `manage.py write_events` remove, between two batches."""

    def __init__(self, alias: str) -> None:
        self._peer = _Peer(alias)

    def sources(self) -> set[int]:
        sources: set[int] = self._peer.ask(wire.Sources(), set[int])
        return sources

    def prune(self, source_id: int, *, older_than: int, max_bytes: int) -> Pruned:
        pruned: Pruned = self._peer.ask(wire.Prune(source_id, older_than, max_bytes), Pruned)
        return pruned

    def forget(self, source_id: int) -> Pruned:
        pruned: Pruned = self._peer.ask(wire.Forget(source_id), Pruned)
        return pruned
