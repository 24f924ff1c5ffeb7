"""What clients and the process that writes events say to each other, and where they meet.

A message is eight bytes of length, then MessagePack. A client sends a request and waits for its
answer before it sends the next.
"""

import hashlib
import os
import struct
import tempfile
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from django.db import connections

from eventhub.store.contract import Batch

__all__ = [
    "LENGTH",
    "Answer",
    "Forget",
    "Prune",
    "Request",
    "Resume",
    "Sources",
    "Touch",
    "Write",
    "decode",
    "encode",
    "lock_path",
    "read_length",
    "socket_path",
]  # fmt: skip

LENGTH: Final = 8
_length: Final = struct.Struct("!Q")
_LONGEST_ADDRESS: Final = 100
"""Bytes: the address of a Unix socket holds 104 on macOS and 108 on Linux, with a final NUL."""


class Write(msgspec.Struct, tag=True, array_like=True):
    batch: Batch


class Touch(msgspec.Struct, tag=True, array_like=True):
    source_id: int
    now: int
    epoch: int | None = None
    share: int = 0


class Resume(msgspec.Struct, tag=True, array_like=True):
    source_id: int
    share: int = 0
    shares: int = 1


class Sources(msgspec.Struct, tag=True, array_like=True):
    pass


class Prune(msgspec.Struct, tag=True, array_like=True):
    source_id: int
    older_than: int
    max_bytes: int


class Forget(msgspec.Struct, tag=True, array_like=True):
    source_id: int


Request: TypeAlias = Write | Touch | Resume | Sources | Prune | Forget


class Answer(msgspec.Struct, array_like=True):
    result: msgspec.Raw = msgspec.Raw(msgspec.msgpack.encode(None))
    error: str | None = None
    kind: Literal["unavailable", "superseded", "failed"] = "failed"
    """What the error is: one of the store, of the writer that asks, or of the request."""


_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)


def encode(message: Request | Answer) -> bytes:
    body = _encoder.encode(message)
    return _length.pack(len(body)) + body


def decode(body: bytes | bytearray | memoryview) -> Request:
    """Raises msgspec.MsgspecError for what is no request."""
    request: Request = _requests.decode(body)
    return request


def read_length(head: bytes | bytearray) -> int:
    length: int = _length.unpack_from(head)[0]
    return length


def lock_path(alias: str) -> Path:
    """The file that the process holds locked while it runs."""
    return _folder(alias) / "event-writer.lock"


def socket_path(alias: str) -> Path:
    """Beside the database, or where that path is too long for a socket in a folder of this user's
    own under the folder for temporary files. Raises PermissionError if somebody else made that."""
    beside = _folder(alias) / "event-writer.sock"
    if len(os.fsencode(beside)) <= _LONGEST_ADDRESS:
        return beside
    digest = hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"eventhub-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(f"{folder} is not a private folder of this user.")
    return folder / "writer.sock"


def _folder(alias: str) -> Path:
    return Path(connections[alias].settings_dict["NAME"]).resolve().parent
