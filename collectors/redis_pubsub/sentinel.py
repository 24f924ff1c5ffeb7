"""Which server is the master, as the Sentinels say.

redis-py's Sentinel client was not taken: it connects by itself to what a Sentinel announces, past
the rules on addresses. https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

import threading
import time
from contextlib import suppress
from typing import Final

import hiredis

from collectors.redis_pubsub.config import Endpoint, RedisPubSubConfig
from collectors.redis_pubsub.connect import CONNECT_SECONDS, dial, left
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.refusals import refusal
from collectors.redis_pubsub.translate import channel_bytes
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["MasterWatch", "dial_master", "find_master", "must_be_master"]


WATCH_EVERY: Final = 2.0
"""Seconds between two questions for the master."""


def find_master(
    config: RedisPubSubConfig, seconds: float = CONNECT_SECONDS
) -> tuple[Endpoint, Endpoint]:
    """The master, and the Sentinel that named it: the first that answers and knows.

    Each gets an equal share of the time that is left. Raises PermanentFailure where a person must
    act, else NotConnected.
    """
    problems: list[BrokerError] = []
    deadline = time.monotonic() + seconds
    sentinels = config.entrances()
    for number, sentinel in enumerate(sentinels):
        share = left(deadline) / (len(sentinels) - number)
        try:
            return _ask(config, sentinel, share), sentinel
        except BrokerError as error:
            problems.append(error)
    for problem in problems:
        if isinstance(problem, PermanentFailure):
            raise problem
    raise NotConnected(f"No Sentinel answers. {problems[0]}", way_out=problems[0].way_out)


def dial_master(config: RedisPubSubConfig, *, name: str) -> tuple[Connection, Endpoint]:
    """A connection to the master of this moment, and where it is. Raises NotConnected or
    PermanentFailure."""
    master, sentinel = find_master(config)
    connection = dial(config, master, name=name)
    try:
        must_be_master(connection, master, sentinel)
    except BaseException:
        connection.close()
        raise
    return connection, master


def must_be_master(connection: Connection, master: Endpoint, sentinel: Endpoint) -> None:
    """Raises NotConnected: just after a failover a Sentinel may still name the old one."""
    try:
        role = connection.call("ROLE")[0]
    except hiredis.ReplyError:
        return  # a user need not be allowed to ask
    if role != b"master":
        raise NotConnected(
            f"Sentinel {sentinel} names {master} as the master, which is a {role.decode()} now.",
            way_out="A failover goes on; EventHub comes back.",
        )


def _ask(config: RedisPubSubConfig, sentinel: Endpoint, seconds: float) -> Endpoint:
    connection = dial(config, sentinel, name="eventhub-sentinel", sentinel=True, seconds=seconds)
    name = channel_bytes(config.master_name)
    try:
        told = connection.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name, seconds=seconds)
    except hiredis.ReplyError as error:
        raise refusal(error, config, config.sentinel_user) from error
    finally:
        connection.close()
    if told is None:
        raise PermanentFailure(
            f"Sentinel {sentinel} knows no master called {config.master_name!r}.",
            way_out="SENTINEL MASTERS on a Sentinel lists their names.",
        )
    return Endpoint(told[0].decode(), int(told[1]))


class MasterWatch:
    """Asks again and again, in a thread of its own, whether the master is still this one.

    An old master that lost its network, and not us, would go on serving us for a while, and what
    is published on the new one would never come. Without a Sentinel that answers it knows nothing.
    """

    def __init__(self, config: RedisPubSubConfig, master: Endpoint) -> None:
        self._config = config
        self._master = master
        self._stop = threading.Event()
        self.moved = ""
        """Why the connection to the master is to be given up; empty while it is not."""
        threading.Thread(target=self._watch, daemon=True, name="watch for a failover").start()

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self.moved and not self._stop.wait(WATCH_EVERY):
            with suppress(BrokerError):
                master, sentinel = find_master(self._config)
                if master != self._master:
                    self.moved = f"Sentinel {sentinel} names {master} as the master now."
