"""STOMP 1.2's frames (https://stomp.github.io/stomp-specification-1.2.html), read in batches.

stomp.py was tried: it reads in a thread of its own, hands out one message a call, and connects by
itself, past the address policy.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["Frame", "Reader", "encode"]

_ESCAPES: Final = (("\\", "\\\\"), ("\r", "\\r"), ("\n", "\\n"), (":", "\\c"))
_UNESCAPES: Final = {"\\": "\\", "r": "\r", "n": "\n", "c": ":"}
_BARE: Final = frozenset({"CONNECT", "CONNECTED"})
"""Commands whose headers are not escaped."""


class Frame(NamedTuple):
    command: str
    headers: dict[str, str]
    body: bytes


def encode(command: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    escaped = command not in _BARE
    lines = [command]
    for name, value in headers:
        lines.append(f"{_escape(name)}:{_escape(value)}" if escaped else f"{name}:{value}")
    head = "\n".join(lines).encode("utf-8", "surrogateescape")
    return head + b"\n\n" + body + b"\0"


class Reader:
    """Takes bytes, gives whole frames. Raises ValueError for what is no STOMP."""

    def __init__(self) -> None:
        self._buffer = b""
        self._pieces: list[bytes] = []
        self._needed = 1
        self.frames: deque[Frame] = deque()

    def feed(self, data: bytes) -> None:
        # A large body comes in many pieces: they are joined once, not with each.
        self._pieces.append(data)
        if len(self._buffer) + sum(map(len, self._pieces)) < self._needed:
            return
        self._buffer = b"".join((self._buffer, *self._pieces))
        self._pieces.clear()
        at = 0
        while (end := self._one(at)) is not None:
            at = end
        self._buffer = self._buffer[at:]
        self._needed = max(self._needed - at, 1)

    def _one(self, at: int) -> int | None:
        """Read the frame at this place; None while it is not all here."""
        raw = self._buffer
        while raw[at : at + 1] in (b"\n", b"\r"):
            at += 1
        self._needed = 0
        head_end, width = _end_of_head(raw, at)
        if head_end < 0:
            if len(raw) - at > 65_536:
                raise ValueError("the headers have no end")
            return None
        command, headers = _head(raw[at:head_end])
        start = head_end + width
        length = headers.get("content-length")
        if length is None:
            end = raw.find(b"\0", start)
            if end < 0:
                return None
        else:
            end = start + int(length)
            if len(raw) <= end:
                self._needed = end + 1
                return None
        self.frames.append(Frame(command, headers, raw[start:end]))
        return end + 1


def _end_of_head(raw: bytes, at: int) -> tuple[int, int]:
    plain, windows = raw.find(b"\n\n", at), raw.find(b"\r\n\r\n", at)
    if windows >= 0 and (plain < 0 or windows < plain):
        return windows, 4
    return plain, 2


def _head(raw: bytes) -> tuple[str, dict[str, str]]:
    command, *lines = raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
    if not command.isupper() or not command.isalpha():
        raise ValueError("what came is no frame")
    headers: dict[str, str] = {}
    escaped = command not in _BARE
    for line in lines:
        name, _, value = line.partition(":")
        if escaped and "\\" in line:
            name, value = _unescape(name), _unescape(value)
        headers.setdefault(name, value)  # the first of a repeated header counts
    return command, headers


def _escape(text: str) -> str:
    for plain, coded in _ESCAPES:
        text = text.replace(plain, coded)
    return text


def _unescape(text: str) -> str:
    first, *rest = text.split("\\")
    found = [first]
    skip = False
    for place, piece in enumerate(rest):
        if skip:
            found.append(piece)
            skip = False
        elif not piece and place + 1 < len(rest):
            found.append("\\")
            skip = True
        else:
            found.append(_UNESCAPES.get(piece[:1], "") + piece[1:] if piece else "\\")
    return "".join(found)
