"""Redis Pub/Sub keeps nothing, so nothing can wait there: the highest rates that arrive whole."""

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from typing import NamedTuple

import redis

__all__ = ["Arrivals", "Arrived", "Rates", "receive_raw"]


class Arrived(NamedTuple):
    events: int
    seconds: float
    """From the first to the last."""


class Arrivals:
    """Counts what arrives until it has been quiet, or until nothing ever came."""

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._count = 0
        self._first = self._last = 0.0
        self._patience = time.monotonic() + 10

    def add(self, count: int) -> None:
        if count:
            self._last = time.monotonic()
            self._first = self._first or self._last
            self._count += count

    def go_on(self) -> bool:
        if self._count:
            return time.monotonic() - self._last < self._quiet
        return time.monotonic() < self._patience

    def all(self) -> Arrived:
        return Arrived(self._count, self._last - self._first)


class Rates:
    """Looks for the highest rate of publishing that a receiver keeps up with."""

    def __init__(self, publisher: Pool, port: int, seconds: float) -> None:
        self._publisher = publisher
        self._port = port
        self._seconds = seconds

    @classmethod
    @contextmanager
    def of(cls, port: int, seconds: float) -> Iterator["Rates"]:
        """`seconds`: how long each trial publishes, in a process of its own."""
        with multiprocessing.get_context("spawn").Pool(1) as publisher:
            yield cls(publisher, port, seconds)

    def highest(
        self, channel: str, payload: bytes, receive: Callable[[], Arrived], narrowed: int
    ) -> float:
        """The highest rate that holds: doubled from 16,000 a second, then so often halved in
        between."""

        def holds(rate: int) -> bool:
            return self.trial(channel, payload, receive, rate)

        rate = 16_000
        while rate < 512_000 and holds(rate):
            rate *= 2
        low, high = (0 if rate == 16_000 else rate // 2), rate
        for _ in range(narrowed):
            middle = (low + high) // 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        return low

    def trial(
        self, channel: str, payload: bytes, receive: Callable[[], Arrived], rate: int
    ) -> bool:
        """Whether everything arrived, in about the time in which it was published, so that no
        buffer did the work; and the publisher itself reached the rate."""
        words = (self._port, channel, payload, rate, self._seconds)
        publishing = self._publisher.apply_async(_publish, words)
        arrived, published = receive(), publishing.get()
        return (
            arrived.events == published
            and arrived.seconds <= 1.05 * self._seconds + 0.1
            and published >= 0.9 * rate * self._seconds
        )


def receive_raw(port: int, channel: str, quiet: float) -> Arrived:
    """What redis-py hands over until nothing came for `quiet` seconds."""
    client = redis.Redis(port=port)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe(channel)
    pubsub.get_message(timeout=5)
    arrivals = Arrivals(quiet)
    while arrivals.go_on():
        try:
            arrivals.add(pubsub.get_message(timeout=0.1) is not None)
        except redis.RedisError:
            break
    client.close()
    return arrivals.all()


def _publish(port: int, channel: str, payload: bytes, rate: int, seconds: float) -> int:
    """Publish at `rate` a second from one socket, in slices of 10 ms. Returns how many."""
    name = channel.encode()
    command = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(name),
        name,
        len(payload),
        payload,
    )
    sent = answered = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            due = int(rate * elapsed) - sent
            if due > 0:
                connection.sendall(command * due)
                sent += due
                # Reading the answers keeps the server from buffering them.
                while answered < sent:
                    answered += connection.recv(1 << 16).count(b"\n")
            time.sleep(0.01)
    return sent
