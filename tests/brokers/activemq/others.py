"""Somebody else's AMQP client: proton's own, which shares no code with the adapter."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from proton import ConnectionException, Message, Timeout, symbol
from proton.handlers import MessagingHandler
from proton.reactor import Container, ReceiverOption, SenderOption
from proton.utils import BlockingConnection, LinkDetached

from collectors.activemq.names import parse
from tests.brokers.activemq.server import ActiveMQServer

__all__ = ["Listener", "connected", "flood", "give_up", "message"]


class _Kind(ReceiverOption, SenderOption):
    """Tells Artemis whether a topic or a queue is meant; Classic reads the prefix."""

    def __init__(self, name: str) -> None:
        self._kind = symbol("topic" if parse(name).topic else "queue")

    def apply(self, link: Any) -> None:
        terminus = link.source if link.is_receiver else link.target
        terminus.capabilities.put_object(self._kind)

    def test(self, link: Any) -> bool:
        return True


def _address(server: ActiveMQServer, name: str) -> str:
    return parse(name).full if server.flavour == "classic" else parse(name).text


def _url(server: ActiveMQServer) -> str:
    return f"amqp://{server.user}:{server.password}@{server.host}:{server.ports['amqp']}"


def connected(server: ActiveMQServer) -> BlockingConnection:
    return BlockingConnection(_url(server), timeout=20, allowed_mechs="PLAIN")


def message(payload: bytes, **more: Any) -> Message:
    """Persistent, with the payload as data."""
    return Message(body=payload, inferred=True, durable=True, **more)


def flood(server: ActiveMQServer, name: str, messages: Sequence[Message]) -> None:
    """Send as fast as the broker takes it; returns when it has accepted all."""
    if messages:
        handler = _Flood(server, name, messages)
        Container(handler).run()
        assert handler.accepted == len(messages), handler.problem


class _Flood(MessagingHandler):
    def __init__(self, server: ActiveMQServer, name: str, messages: Sequence[Message]) -> None:
        super().__init__()
        self._server = server
        self._name = name
        self._messages = messages
        self._sent = 0
        self.accepted = 0
        self.problem: object = "not all were accepted"

    def on_start(self, event: Any) -> None:
        connection = event.container.connect(
            _url(self._server), allowed_mechs="PLAIN", reconnect=False
        )
        event.container.create_sender(
            connection, _address(self._server, self._name), options=_Kind(self._name)
        )

    def on_sendable(self, event: Any) -> None:
        while event.sender.credit and self._sent < len(self._messages):
            event.sender.send(self._messages[self._sent])
            self._sent += 1

    def on_accepted(self, event: Any) -> None:
        self.accepted += 1
        if self.accepted == len(self._messages):
            event.connection.close()

    def on_rejected(self, event: Any) -> None:
        self.problem = event.delivery.remote.condition
        event.connection.close()

    def on_transport_error(self, event: Any) -> None:
        self.problem = event.transport.condition

    def on_link_error(self, event: Any) -> None:
        self.problem = event.link.remote_condition
        event.connection.close()


class Listener:
    """A consumer of somebody else, in a thread; it accepts each message."""

    def __init__(self, server: ActiveMQServer, name: str) -> None:
        self._got: list[bytes] = []
        self._connection = connected(server)
        self._receiver = self._connection.create_receiver(
            _address(server, name), credit=100, options=_Kind(name)
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def received(self) -> list[bytes]:
        return list(self._got)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(ConnectionException, LinkDetached):
            self._connection.close()

    def _listen(self) -> None:
        with suppress(ConnectionException, LinkDetached):
            while not self._ended.is_set():
                try:
                    found = self._receiver.receive(timeout=0.05)
                except Timeout:
                    continue
                body = bytes(memoryview(found.body))  # type: ignore[arg-type]
                self._got.append(body if not found.delivery_count else b"again " + body)
                self._receiver.accept()


def give_up(server: ActiveMQServer, queue: str, count: int) -> None:
    """Receive so many messages and reject each, as a consumer does that cannot handle them."""
    connection = connected(server)
    receiver = connection.create_receiver(_address(server, queue), credit=0, options=_Kind(queue))
    for _ in range(count):
        receiver.flow(1)
        receiver.receive(timeout=20)
        receiver.reject()
    connection.close()
