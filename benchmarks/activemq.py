"""ActiveMQ Classic over AMQP: a full queue, and what proton does with nothing around it."""

import time
from collections.abc import Callable
from typing import Any, Final

from proton import Message
from proton.handlers import MessagingHandler
from proton.reactor import Container

from benchmarks.case import Broker, Case, Place
from tests.brokers.activemq.server import running

__all__ = ["BROKER"]

_PREFETCH: Final = 2_000
"""As many as the adapter has under way, `collectors.activemq.feed.PREFETCH`."""


def fill(url: str, queue: str, payload: bytes, count: int) -> None:
    """Put so many persistent messages with five properties into a queue; Classic makes it.

    `url`: amqp://user:password@host:port.
    """
    message = Message(
        body=payload,
        inferred=True,
        durable=True,
        subject="OrderPlaced",
        id="m" * 36,
        correlation_id="c" * 32,
        content_type="application/json",
        properties={
            "tenant": "acme", "region": "eu", "attempt": 1, "amount": 318.4,
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        },
    )  # fmt: skip
    handler = _Filling(url, queue, message.encode(), count)
    Container(handler).run()
    assert handler.accepted == count, handler.problem


class _Filling(MessagingHandler):
    def __init__(self, url: str, queue: str, encoded: bytes, count: int) -> None:
        super().__init__()
        self._url = url
        self._queue = queue
        self._encoded = encoded
        self._left = self._count = count
        self.accepted = 0
        self.problem: object = "not all were accepted"

    def on_start(self, event: Any) -> None:
        connection = event.container.connect(self._url, allowed_mechs="PLAIN", reconnect=False)
        event.container.create_sender(connection, self._queue)

    def on_sendable(self, event: Any) -> None:
        while event.sender.credit and self._left:
            event.sender.delivery(str(self._left))
            event.sender.stream(self._encoded)
            event.sender.advance()
            self._left -= 1

    def on_accepted(self, event: Any) -> None:
        self.accepted += 1
        if self.accepted == self._count:
            event.connection.close()

    def on_rejected(self, event: Any) -> None:
        self.problem = event.delivery.remote.condition
        event.connection.close()


def receive_raw(url: str, queue: str, count: int) -> float:
    """Messages a second that proton hands over from a full queue, accepting each."""
    handler = _Receiving(url, queue, count)
    began = time.perf_counter()
    Container(handler).run()
    return count / (time.perf_counter() - began)


class _Receiving(MessagingHandler):
    def __init__(self, url: str, queue: str, count: int) -> None:
        super().__init__(prefetch=_PREFETCH, auto_accept=True)
        self._url = url
        self._queue = queue
        self._left = count

    def on_start(self, event: Any) -> None:
        connection = event.container.connect(self._url, allowed_mechs="PLAIN", reconnect=False)
        event.container.create_receiver(connection, self._queue)

    def on_message(self, event: Any) -> None:
        self._left -= 1
        if not self._left:
            event.receiver.close()
            event.connection.close()


def _case(place: Place, name: str) -> Case:
    def fill_both(payload: bytes, count: int, _: Callable[[], None]) -> None:
        for queue in (name, f"{name}-plain"):
            fill(place["url"], queue, payload, count)

    config = {
        "host": "127.0.0.1", "port": place["port"], "user": "admin", "password": "admin",
        "jolokia_url": place["jolokia"], "mode": "consume", "destinations": [name],
    }  # fmt: skip
    return Case(
        config,
        "earliest",
        fill_both,
        lambda count: receive_raw(place["url"], f"{name}-plain", count),
    )


BROKER: Final = Broker(
    running,
    lambda server: {
        "port": server.ports["amqp"],
        "jolokia": server.jolokia_url,
        "url": f"amqp://admin:admin@127.0.0.1:{server.ports['amqp']}",
    },
    _case,
    0.25,
)
