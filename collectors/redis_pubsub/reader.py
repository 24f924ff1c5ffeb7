"""The mode `log`: reads streams by entry id, as any number of readers may (XREAD).

No consumer group is made, and nothing is acknowledged. An entry's id is its place; how many
entries the stream has ever had (`entries-added`, Redis 7) tells whether a limit took some away
before they were read. https://redis.io/docs/latest/develop/data-types/streams/
"""

import time
from typing import Any, Final

import hiredis
import msgspec

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import CALL_SECONDS, now
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes, channel_text, entry_delivery, pairs
from eventhub.brokers.contract import Delivery, Gap, Observation, Received, StartFrom
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["StreamReader"]

_ANSWER_SECONDS: Final = 5.0
_POLL: Final = 0.02
"""Seconds between two looks at a cluster's streams while nothing comes."""
_BEGINNING: Final = "0-0"
_LAST_SEQUENCE: Final = 2**64 - 1


class _Place(msgspec.Struct):
    """Read up to here. In the checkpoint as JSON."""

    id: str
    count: int | None
    """How many entries the stream had had up to this one; None before Redis 7."""


class StreamReader:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: RedisPubSubConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._nodes = Nodes(config, name=f"eventhub-{observation.name}")
        self._places: dict[str, _Place] = {}
        self._gaps: list[Gap] = []
        self._begun = False

    def open(self) -> None:
        if not self._config.streams:
            raise PermanentFailure("No stream is named.", way_out="Name at least one stream.")
        try:
            for name in self._config.streams:
                self._places[name] = self._place(name)
        except hiredis.ReplyError as error:
            self.close()
            raise refusal(error, self._config) from error
        except BaseException:
            self.close()
            raise
        self._begun = False

    def receive(self, max_messages: int, max_wait: float) -> Received:
        if self._gaps:
            gaps, self._gaps = self._gaps, []
            return Received([], gaps, self._checkpoint())
        if not self._places:
            raise NotConnected("The source is not connected.")
        names = list(self._places)
        answer = self._ask(names, max_messages, max_wait)
        deliveries: list[Delivery] = []
        for raw_name, entries in answer:
            name = channel_text(raw_name)
            taken = entries[: max_messages - len(deliveries)]  # COUNT is meant for each stream
            deliveries += [entry_delivery(name, entry_id, pairs(flat)) for entry_id, flat in taken]
            if taken:
                self._move(name, taken[-1][0].decode(), len(taken))
        # The next answer begins with another stream, so that a busy one does not hide the others.
        self._places = {name: self._places[name] for name in [*names[1:], names[0]]}
        # Where nothing has come yet, the place to go on from is kept too.
        moved = bool(deliveries) or not self._begun
        self._begun = True
        return Received(deliveries, checkpoint=self._checkpoint() if moved else {})

    def settle(self, received: Received) -> None:
        """There is nothing to tell: the stream keeps its entries."""

    def keep_alive(self) -> None:
        """An idle connection stays."""

    def close(self) -> None:
        self._places = {}
        self._nodes.close()

    def _move(self, name: str, entry_id: str, count: int) -> None:
        before = self._places[name].count
        self._places[name] = _Place(entry_id, None if before is None else before + count)

    def _checkpoint(self) -> dict[str, str]:
        return {name: msgspec.json.encode(place).decode() for name, place in self._places.items()}

    def _place(self, name: str) -> _Place:
        facts = self._facts(name)
        stored = self._observation.checkpoint.get(name)
        if stored is not None:
            return self._go_on(name, msgspec.json.decode(stored, type=_Place), facts)
        if self._observation.checkpoint or facts is None:
            return _Place(_BEGINNING, 0)  # a stream that was named or made later
        added, length = facts.get(b"entries-added"), facts[b"length"]
        first = None if added is None else added - length
        if self._observation.start is StartFrom.EARLIEST:
            return _Place(_BEGINNING, first)
        if self._observation.start is StartFrom.TIME:
            before = (self._observation.start_time or 1) - 1
            return _Place(f"{before}-{_LAST_SEQUENCE}", None)
        return _Place(facts[b"last-generated-id"].decode(), added)

    def _go_on(self, name: str, place: _Place, facts: dict[bytes, Any] | None) -> _Place:
        """From a stored place; what a limit took away since is a gap."""
        if facts is None or _number(facts[b"last-generated-id"].decode()) < _number(place.id):
            seen = self._observation.last_seen or now()
            self._gaps.append(Gap("the stream was removed and made anew", seen, now(), None, name))
            return _Place(_BEGINNING, 0)
        first, added = facts[b"first-entry"], facts.get(b"entries-added")
        oldest = _number(first[0].decode()) if first else None
        trimmed = oldest is None or oldest > _number(place.id)
        if trimmed and place.count is not None and added is not None:
            missed = added - facts[b"length"] - place.count
            if missed > 0:
                seen = self._observation.last_seen or now()
                reason = "the stream was trimmed before it was read"
                self._gaps.append(Gap(reason, seen, now(), missed, name))
                return _Place(place.id, place.count + missed)
        return place

    def _facts(self, name: str) -> dict[bytes, Any] | None:
        key = channel_bytes(name)
        try:
            return pairs(self._nodes.of(key).call("XINFO", "STREAM", key))
        except hiredis.ReplyError as error:
            if "no such key" in str(error):
                return None
            raise

    def _ask(self, names: list[str], max_messages: int, max_wait: float) -> list[Any]:
        """Pairs of a stream's name and its new entries."""
        try:
            if self._config.deployment == "cluster":
                return self._ask_each(names, max_messages, max_wait)
            told = self._nodes.any().call(
                "XREAD", "COUNT", str(max_messages), "BLOCK", str(max(1, round(max_wait * 1000))),
                "STREAMS", *map(channel_bytes, names), *(self._places[name].id for name in names),
                seconds=max_wait + _ANSWER_SECONDS,
            )  # fmt: skip
        except hiredis.ReplyError as error:
            raise refusal(error, self._config) from error
        return told or []

    def _ask_each(self, names: list[str], max_messages: int, max_wait: float) -> list[Any]:
        """In a cluster the keys of one XREAD must share a slot, and one that blocks would hide the
        others: so each stream is asked, all at once, until one has something."""
        deadline = time.monotonic() + max_wait
        while True:
            connections = [self._nodes.of(channel_bytes(name)) for name in names]
            for name, connection in zip(names, connections, strict=True):
                connection.send(
                    "XREAD", "COUNT", str(max_messages), "STREAMS",
                    channel_bytes(name), self._places[name].id,
                )  # fmt: skip
            answered = time.monotonic() + CALL_SECONDS
            replies = [connection.reply(answered) for connection in connections]
            for reply in replies:
                if isinstance(reply, hiredis.ReplyError):
                    raise reply
            found = [stream for reply in replies if reply for stream in reply]
            remaining = deadline - time.monotonic()
            if found or remaining <= 0:
                return found
            time.sleep(min(_POLL, remaining))


def _number(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
