"""The mode `browse`: looks into lists again and again, and takes nothing.

A look reads the old end to see how far the consumers have come, and then only what is new behind
that (`looks`). It is sampled: what came and went between two looks is never seen.
"""

import time
from collections import Counter, deque
from typing import Any, Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.looks import digest, kept, pack, surplus, unpack
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, to_delivery
from eventhub.brokers.contract import Delivery, Observation, Received, StartFrom
from eventhub.brokers.errors import NotConnected

__all__ = ["MOST", "Browser"]

MOST: Final = 10_000
"""Elements of a list, from its old end, that are looked at."""
_PROBE: Final = 100
"""Elements by which the old end is recognised."""
_BYTES: Final = 8 * 1024 * 1024
"""Of new elements that one look reads; the next one goes on behind them."""
_CHUNK_BYTES: Final = 1024 * 1024
_NAP: Final = 0.05


class Browser:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: RedisPubSubConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._nodes = Nodes(config, name=f"eventhub-{observation.name}")
        self._lists: list[_Look] = []
        self._found: deque[Delivery] = deque()
        self._unsaved: set[str] = set()
        self._due = 0.0

    def open(self) -> None:
        stored = self._observation.checkpoint
        known = self._observation.start is not StartFrom.NOW or bool(stored)
        try:
            for name in self._config.lists:
                look = _Look(name, self._nodes, self._config, unpack(stored.get(name, "")))
                if not known:
                    look.skip()  # what waits already is from before the beginning
                    self._unsaved.add(name)
                self._lists.append(look)
        except hiredis.ReplyError as error:
            self.close()
            raise refusal(error, self._config) from error
        except BaseException:
            self.close()
            raise

    def receive(self, max_messages: int, max_wait: float) -> Received:
        if not self._lists:
            raise NotConnected("The source is not connected.")
        deadline = time.monotonic() + max_wait
        while not self._found:
            if time.monotonic() >= self._due:
                self._look()
            elif time.monotonic() >= deadline:
                break
            else:
                self.keep_alive()
                time.sleep(max(0.0, min(_NAP, deadline - time.monotonic())))
        count = min(max_messages, len(self._found))
        deliveries = [self._found.popleft() for _ in range(count)]
        return Received(deliveries, checkpoint={} if self._found else self._checkpoint())

    def settle(self, received: Received) -> None:
        """There is nothing to tell: the list keeps its elements for its consumers."""

    def keep_alive(self) -> None:
        if self._nodes.lost:
            raise NotConnected(self._nodes.lost)

    def close(self) -> None:
        self._lists = []
        self._nodes.close()

    def _look(self) -> None:
        for look in self._lists:
            try:
                new = look.new()
            except hiredis.ReplyError as error:
                raise refusal(error, self._config) from error
            if new:
                self._found += new
                self._unsaved.add(look.name)
        self._due = time.monotonic() + self._config.browse_seconds

    def _checkpoint(self) -> dict[str, str]:
        """What was seen, of the lists in which something was new."""
        told = {look.name: pack(look.seen) for look in self._lists if look.name in self._unsaved}
        self._unsaved.clear()
        return told


class _Look:
    """One list, and what the last look saw of it, oldest first."""

    def __init__(
        self, name: str, nodes: Nodes, config: RedisPubSubConfig, seen: list[bytes]
    ) -> None:
        self.name = name
        self.seen = seen
        self._key = channel_bytes(name)
        self._connection = nodes.of(self._key)
        self._right = config.list_end == "right"
        self._size = _CHUNK_BYTES // 10
        """Bytes of an element, as last seen; at first a guess that reads ten."""

    def skip(self) -> None:
        """Count all that waits now as seen."""
        self.seen = []
        while self._length() > len(self.seen) < MOST:
            chunk = self._read(len(self.seen), MOST)
            if not chunk:
                return
            self.seen += map(digest, chunk)

    def new(self) -> list[Delivery]:
        """What was not there at the last look. Raises hiredis.ReplyError and NotConnected."""
        length = self._length()
        oldest = list(map(digest, self._read(0, _PROBE))) if self.seen and length else []
        still = kept(self.seen, oldest, length)
        if still is None:
            return self._compare()
        self.seen = self.seen[len(self.seen) - still :]
        found: list[bytes] = []
        size = 0
        while len(self.seen) < min(length, MOST) and size < _BYTES:
            chunk = self._read(len(self.seen), min(length, MOST) - len(self.seen))
            if not chunk:
                break
            self.seen += map(digest, chunk)
            found += chunk
            size += sum(map(len, chunk))
        return [to_delivery(self._key, element) for element in found]

    def _compare(self) -> list[Delivery]:
        """All that is there, against all that was seen. Where that would bring too much at once
        it ends early, and something seen before may come a second time."""
        known = Counter(self.seen)
        self.seen = []
        found: list[bytes] = []
        size = 0
        while len(self.seen) < MOST and size < _BYTES:
            chunk = self._read(len(self.seen), MOST - len(self.seen))
            if not chunk:
                break
            digests = list(map(digest, chunk))
            self.seen += digests
            new = [chunk[index] for index in surplus(known, digests)]
            found += new
            size += sum(map(len, new))
        return [to_delivery(self._key, element) for element in found]

    def _length(self) -> int:
        length: int = self._connection.call("LLEN", self._key)
        return length

    def _read(self, start: int, most: int) -> list[bytes]:
        """From this many behind the oldest, oldest first; about a megabyte at most."""
        count = max(1, min(most, _CHUNK_BYTES // max(self._size, 1)))
        last = start + count - 1
        first, end = (-last - 1, -start - 1) if self._right else (start, last)
        found: list[Any] = self._connection.call("LRANGE", self._key, str(first), str(end))
        if found:
            self._size = sum(map(len, found)) // len(found)
        return found[::-1] if self._right else found
