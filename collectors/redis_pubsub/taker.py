"""The mode `consume`: takes from lists, at least once.

An element goes from its list into one of our own (`lists`), and leaves that once it is stored. What
a collector that was killed has left there comes first the next time, with the same places, so that
the store knows what it has.
"""

import secrets
import time
from typing import Any, Final

import hiredis
import msgspec

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import CALL_SECONDS, Connection
from collectors.redis_pubsub.lists import (
    GIVE_BACK,
    OPEN,
    SETTLE,
    TAKE,
    index_key,
    keys,
    push,
)
from collectors.redis_pubsub.nodes import Nodes
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_text, to_delivery
from eventhub.brokers.contract import Delivery, Observation, Received
from eventhub.brokers.errors import NotConnected

__all__ = ["Taker", "give_back_all"]

_POLL: Final = 0.02
"""Seconds between two looks at lists that are empty."""
_BYTES: Final = 4 * 1024 * 1024
"""After which one take ends: the script holds them in the server's memory a second time."""
_PART: Final = 100
"""Elements that move at a time within a take."""
_LEFT: Final = 100
"""Elements of what a killed collector left that are read at a time."""


class _List(msgspec.Struct):
    name: str
    key: bytes
    taken: bytes
    book: bytes
    connection: Connection
    settled: int
    """Place of the oldest that is not settled."""
    next: int
    """Place of the next delivery."""
    left: int
    """How many that an earlier collector took are still to be delivered."""
    size: int = _BYTES
    """Bytes of an element, as last seen; until then, as large as may be."""


class Taker:
    """See `eventhub.brokers.contract.Consumer`."""

    def __init__(self, config: RedisPubSubConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._nodes = Nodes(config, name=f"eventhub-{observation.name}")
        self._lists: list[_List] = []
        self._owner = ""

    def open(self) -> None:
        self._owner = secrets.token_hex(8)
        try:
            _forget_others(self._nodes, self._config, self._observation)
            self._lists = [self._own(name) for name in self._config.lists]
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
        while True:
            deliveries = self._left(max_messages) or self._take(max_messages)
            remaining = deadline - time.monotonic()
            if deliveries or remaining <= 0:
                break
            time.sleep(min(_POLL, remaining))
        return Received(deliveries, token={each.name: each.next for each in self._lists})

    def settle(self, received: Received) -> None:
        """This batch, and what was received before it."""
        assert isinstance(received.token, dict)
        places: dict[str, int] = received.token
        due = [each for each in self._lists if places.get(each.name, 0) > each.settled]
        for each in due:
            count = places[each.name] - each.settled
            _eval(each.connection, SETTLE, [each.taken, each.book], self._owner, str(count))
        for each, place in zip(due, self._answers(due), strict=True):
            each.settled = place

    def keep_alive(self) -> None:
        if self._nodes.lost:
            raise NotConnected(self._nodes.lost)

    def close(self) -> None:
        self._lists = []
        self._nodes.close()

    def _own(self, name: str) -> _List:
        key, taken, book = keys(self._observation, name)
        connection = self._nodes.of(key)
        # Places never return, also after the server has lost the book: in microseconds since 1970
        # a new count begins above every old one.
        first = str(time.time_ns() // 1_000)
        _eval(connection, OPEN, [key, taken, book], self._owner, first)
        place, left = _answer(connection)
        return _List(name, key, taken, book, connection, int(place), int(place), left)

    def _left(self, max_messages: int) -> list[Delivery]:
        """What an earlier collector took and did not settle, oldest first."""
        for each in self._lists:
            if each.left:
                first = each.next - each.settled
                count = min(each.left, max_messages, _LEFT)
                each.connection.send("LRANGE", each.taken, str(first), str(first + count - 1))
                [found] = self._answers([each])
                each.left -= count
                return _deliveries(each, found, redelivered=True)
        return []

    def _take(self, max_messages: int) -> list[Delivery]:
        """From all lists in one round trip, each its share."""
        asked = self._lists[:max_messages]
        share = max_messages // len(asked)
        for each in asked:
            part = max(1, min(_PART, _BYTES // max(each.size, 1)))
            _eval(
                each.connection, TAKE, [each.key, each.taken, each.book],
                self._owner, str(share), str(_BYTES), str(part), self._config.list_end,
            )  # fmt: skip
        deliveries: list[Delivery] = []
        for each, found in zip(asked, self._answers(asked), strict=True):
            if found:
                each.size = sum(map(len, found)) // len(found)
            deliveries += _deliveries(each, found)
        if len(asked) < len(self._lists):
            self._lists = self._lists[len(asked) :] + asked
        return deliveries

    def _answers(self, asked: list[_List]) -> list[Any]:
        """One reply for each, in the order in which they were asked. All are read before one that
        is an error is raised."""
        deadline = time.monotonic() + CALL_SECONDS
        replies = [each.connection.reply(deadline) for each in asked]
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise refusal(reply, self._config)
        return replies


def give_back_all(config: RedisPubSubConfig, observation: Observation) -> None:
    """Put what is taken and not settled back at the old end of its list, and leave nothing.

    Raises NotConnected or PermanentFailure.
    """
    nodes = Nodes(config, name="eventhub-traces")
    try:
        _forget_others(nodes, config.model_copy(update={"lists": []}), observation)
    except hiredis.ReplyError as error:
        raise refusal(error, config) from error
    finally:
        nodes.close()


def _forget_others(nodes: Nodes, config: RedisPubSubConfig, observation: Observation) -> None:
    """Give back what was taken from lists that the source no longer names. The set of those that
    it has taken from is written before anything is taken."""
    index = index_key(observation)
    known = nodes.of(index).call("SMEMBERS", index)
    for name in map(channel_text, known):
        if name not in config.lists:
            key, taken, book = keys(observation, name)
            _eval(nodes.of(key), GIVE_BACK, [key, taken, book], push(config, old=True))
            _answer(nodes.of(key))
            nodes.of(index).call("SREM", index, key)
    if config.lists:
        listed = [keys(observation, name)[0] for name in config.lists]
        nodes.of(index).call("SADD", index, *listed)


def _deliveries(each: _List, found: list[bytes], *, redelivered: bool = False) -> list[Delivery]:
    made = []
    for element in found:
        made.append(to_delivery(each.key, element, str(each.next), redelivered))
        each.next += 1
    return made


def _eval(connection: Connection, script: str, names: list[bytes], *arguments: str) -> None:
    connection.send("EVAL", script, str(len(names)), *names, *arguments)


def _answer(connection: Connection) -> Any:
    reply = connection.reply(time.monotonic() + CALL_SECONDS)
    if isinstance(reply, hiredis.ReplyError):
        raise reply
    return reply
