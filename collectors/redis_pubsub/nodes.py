"""The connections to a deployment: one to a server or master, one to each node of a cluster.

redis-py's cluster client was not taken: it connects by itself to the nodes that a cluster
announces, past the rules on addresses, and tries again without a word.
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from typing import Any, Final, NamedTuple

import hiredis
from redis.crc import key_slot

from collectors.redis_pubsub.config import Endpoint, RedisPubSubConfig
from collectors.redis_pubsub.connect import dial
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.sentinel import dial_master
from eventhub.brokers.errors import BrokerError, NotConnected

__all__ = ["SLOTS", "Nodes", "Range", "ranges"]

SLOTS: Final = 16_384


class Range(NamedTuple):
    """Slots of a cluster and the node that serves them."""

    first: int
    last: int
    owner: Endpoint


class Nodes:
    """Connects when a node is first asked for, and never reconnects: who holds it makes it anew.

    A cluster's slots are learned once; a slot that moves later is told as NotConnected
    (`refusals`). Everything raises NotConnected or PermanentFailure.
    """

    def __init__(self, config: RedisPubSubConfig, *, name: str) -> None:
        self._config = config
        self._name = name
        self._first: Connection | None = None
        self.entrance: Endpoint | None = None
        """Where the first connection goes: the server, the master, or a node of the cluster."""
        self._ranges: list[Range] = []
        self._owners: dict[Endpoint, Connection] = {}

    @property
    def lost(self) -> str:
        """Why one of the connections is lost; empty while all live."""
        for connection in self._all():
            connection.drain()
            if connection.lost:
                return connection.lost
        return ""

    def adopt(self, connection: Connection, entrance: Endpoint) -> None:
        """Take a connection that was made step by step for the first one."""
        self._first, self.entrance = connection, entrance

    def any(self) -> Connection:
        """The server or master; in a cluster, the first given node that answers."""
        if self._first is None:
            self._first = self._enter()
        return self._first

    def of(self, key: bytes) -> Connection:
        """Where this key, or sharded channel, lives."""
        if self._config.deployment != "cluster":
            return self.any()
        slot = key_slot(key)
        owner = next((r.owner for r in self._slots() if r.first <= slot <= r.last), None)
        if owner is None:
            raise NotConnected(
                f"No node of the cluster serves slot {slot} now.",
                way_out="redis-cli --cluster check shows which slots are not covered.",
            )
        return self._at(owner)

    def every(self) -> list[Connection]:
        """Each server that holds a part of the keys."""
        if self._config.deployment != "cluster":
            return [self.any()]
        return [self._at(owner) for owner in dict.fromkeys(r.owner for r in self._slots())]

    def close(self) -> None:
        for connection in self._all():
            connection.close()
        self._first, self._owners, self._ranges = None, {}, []

    def _all(self) -> list[Connection]:
        return [*([self._first] if self._first else []), *self._owners.values()]

    def _enter(self) -> Connection:
        if self._config.deployment == "sentinel":
            connection, self.entrance = dial_master(self._config, name=self._name)
            return connection
        problem: BrokerError | None = None
        for entrance in self._config.entrances():
            try:
                connection = dial(self._config, entrance, name=self._name)
            except NotConnected as error:
                problem = problem or error
            else:
                self.entrance = entrance
                return connection
        assert problem is not None
        raise problem

    def _slots(self) -> list[Range]:
        if not self._ranges:
            first = self.any()
            assert self.entrance is not None
            try:
                self._ranges = ranges(first, self.entrance.host)
            except hiredis.ReplyError as error:
                raise refusal(error, self._config) from error
        return self._ranges

    def _at(self, owner: Endpoint) -> Connection:
        if owner not in self._owners:
            self._owners[owner] = dial(self._config, owner, name=self._name)
        return self._owners[owner]


def ranges(connection: Connection, host: str) -> list[Range]:
    """Which node serves which slots (CLUSTER SLOTS, which also Redis 5 has).

    `host` is the one that is asked: a node without a host in the answer is there too
    (https://redis.io/docs/latest/commands/cluster-slots/). Raises hiredis.ReplyError, and
    NotConnected.
    """
    told: list[Any] = connection.call("CLUSTER", "SLOTS")
    return [
        Range(first, last, Endpoint((master[0] or b"").decode() or host, master[1]))
        for first, last, master, *_ in told
    ]
