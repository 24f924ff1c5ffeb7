"""pika's AMQP connection on a blocking socket, with messages taken off the wire by ourselves.

pika does the handshake, heartbeats, channels and methods. Its way of a message costs 22 µs of
processor time a KB-sized message, most of it in building objects that nobody reads; this one
costs 5 µs, and no header can end it (docs/decisions/0003-rabbitmq-client.md).
"""

import contextlib
import itertools
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pika
from pika.connection import Connection
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from collectors.rabbitmq.translate import Content
from eventhub.brokers.errors import NotConnected

__all__ = ["ChannelClosedByBroker", "Returned", "Wire"]

# What is wrong reaches the caller as NotConnected or PermanentFailure, with better words.
logging.getLogger("pika").setLevel(logging.CRITICAL)

# What reading raises when the connection ends, or when what came is not AMQP.
_FAILURES: Final = (OSError, ValueError, LookupError, AssertionError, struct.error, AMQPError)
_READ_SIZE: Final = 256 * 1024
_SEND_SECONDS: Final = 10.0
_FRAME: Final = struct.Struct(">BHL")
_TAG: Final = struct.Struct(">QB")
_METHOD, _HEADER, _BODY = 1, 2, 3
_DELIVER: Final = struct.pack(">HH", 60, 60)
_RETURN: Final = struct.pack(">HH", 60, 50)


class Returned(NamedTuple):
    """A message that no queue took, as the broker sent it back."""

    reason: str
    routing_key: bytes
    header: bytes
    body: bytes


class Wire(Connection):
    """One connection; `pump` is the only place that waits. Not for more than one thread."""

    def __init__(self, parameters: pika.ConnectionParameters, sock: socket.socket) -> None:
        self.contents: deque[Content] = deque()
        """Deliveries that arrived and were not taken yet."""
        self.returned: deque[Returned] = deque()
        """Messages that the broker returned as unroutable and that were not taken yet."""
        self.closings: dict[int, Exception] = {}
        """Why channels were closed, by number."""
        self.patience = 10.0
        """Seconds that the broker may take to answer a method."""
        self.failure: Exception | None = None
        """What ended the connection."""
        self.refusal: ConnectionClosedByBroker | None = None
        """The broker's own word for ending it, before pika makes a guess of it."""
        self.greeting = b""
        """The first bytes that came: tells what listens there, if it is no RabbitMQ."""
        self._sock = sock
        self._timers: dict[int, tuple[float, Callable[[], Any]]] = {}
        self._timer_ids = itertools.count(1)
        self._rest = b""
        self._method = b""
        self._head = b""
        self._left = 0
        self._body: list[bytes] = []
        # pika calls back even before this constructor ends.
        super().__init__(parameters, None, self._ended, self._ended, True)

    def pump(self, seconds: float) -> None:
        """Read what there is, waiting up to `seconds` for it; serve heartbeats.

        Raises NotConnected when the connection is gone.
        """
        if self.failure is None:
            due = min((when for when, _ in self._timers.values()), default=None)
            if due is not None:
                seconds = min(seconds, due - time.monotonic())
            try:
                self._read(max(seconds, 0.0))
                self._run_timers()
            except _FAILURES as problem:
                self._fail(problem)
        self.check()

    def check(self) -> None:
        """Raises NotConnected when the connection is gone."""
        if self.failure is not None:
            raise NotConnected(f"The connection to RabbitMQ was lost: {_words(self.failure)}")

    def wait_for(self, ready: Callable[[], object], seconds: float, what: str) -> None:
        """Pump until `ready()`; the broker has failed us after `seconds`. Raises NotConnected."""
        deadline = time.monotonic() + seconds
        while not ready():
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotConnected(f"RabbitMQ did not {what} within {seconds:g} s.")
            self.pump(left)

    def open_channel(self) -> Any:
        """A channel, opened. Raises NotConnected."""
        opened: list[Any] = []
        channel = self._guard(self.channel, on_open_callback=opened.append)
        self.closings.pop(channel.channel_number, None)
        channel.add_on_close_callback(self._on_channel_closed)
        self.wait_for(lambda: opened, self.patience, "open a channel")
        return channel

    def call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """Run a method of a channel that the broker answers. Returns the answering method.

        Raises ChannelClosedByBroker where the broker says no, NotConnected where it says nothing.
        """
        answers: list[Any] = []
        number: int = method.__self__.channel_number  # type: ignore[attr-defined]
        self._guard(method, callback=answers.append, **arguments)
        self.wait_for(
            lambda: answers or number in self.closings, self.patience, f"answer {method.__name__}"
        )
        if answers:
            return answers[0].method
        raise self.closings[number]

    def send(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Run a method of a channel that is not answered. Raises NotConnected."""
        self._guard(method, *arguments, **named)

    def leave(self, seconds: float = 1.0) -> None:
        """Say good-bye if the broker listens; never raises."""
        with contextlib.suppress(NotConnected, AMQPError, OSError):
            self.close()
            self.wait_for(lambda: self.failure is not None, seconds, "close")
        self.sever()

    def sever(self) -> None:
        """Close the socket without a word."""
        self._sock.close()
        if self.failure is None:
            self.failure = ConnectionError("closed")

    def _guard(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.check()
        try:
            return method(*arguments, **named)
        except ChannelClosedByBroker:
            raise
        except (OSError, AMQPError) as problem:
            self._fail(problem)
            self.check()

    def _read(self, seconds: float) -> None:
        # A timeout of 0 would mean a socket that does not block, with errors of its own.
        self._sock.settimeout(max(seconds, 0.000_1))
        try:
            data = self._sock.recv(_READ_SIZE)
        except TimeoutError:
            return
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        self.greeting = self.greeting or data[:8]
        self._on_data_available(data)

    def _run_timers(self) -> None:
        now = time.monotonic()
        for timer, (when, callback) in list(self._timers.items()):
            if when <= now and timer in self._timers:
                del self._timers[timer]
                callback()

    def _terminate_stream(self, error: Exception | None) -> None:
        if isinstance(error, ConnectionClosedByBroker):
            self.refusal = error
        super()._terminate_stream(error)

    def _on_channel_closed(self, channel: Any, reason: Exception) -> None:
        self.closings[channel.channel_number] = reason

    def _ended(self, _: Connection, reason: Exception) -> None:
        if self.failure is None:
            self.failure = reason

    def _fail(self, problem: Exception) -> None:
        self.failure = self.failure or problem
        self._sock.close()

    def _on_data_available(self, data: bytes) -> None:
        """Takes delivered and returned messages apart; hands pika every other frame."""
        raw = self._rest + data if self._rest else data
        at, end = 0, len(raw)
        while end - at >= 8:
            kind, _, size = _FRAME.unpack_from(raw, at)
            if raw[at] == 0x41:  # "AMQP": the broker offers another version of the protocol
                break
            start, stop = at + 7, at + 8 + size
            if stop > end:
                break
            if kind == _BODY and self._method:
                self._body.append(raw[start : stop - 1])
                self._left -= size
                if self._left <= 0:
                    self._complete()
            elif kind == _HEADER and self._method:
                self._head = raw[start + 12 : stop - 1]
                self._left = int.from_bytes(raw[start + 4 : start + 12], "big")
                if not self._left:
                    self._complete()
            elif kind == _METHOD and raw[start : start + 4] in (_DELIVER, _RETURN):
                self._method = raw[start : stop - 1]
            else:
                super()._on_data_available(raw[at:stop])
                self.bytes_received -= stop - at
            at = stop
        if raw[at : at + 4] == b"AMQP":
            super()._on_data_available(raw[at:])
        self._rest = raw[at:]
        self.bytes_received += at

    def _complete(self) -> None:
        method, self._method = self._method, b""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        if method[:4] == _RETURN:
            exchange = 7 + method[6]
            key = exchange + 1 + method[exchange]
            reason = method[7:exchange].decode("utf-8", "replace")
            routing_key = method[key + 1 : key + 1 + method[key]]
            self.returned.append(Returned(reason, routing_key, self._head, body))
            return
        at = 5 + method[4]  # after the consumer tag
        tag, redelivered = _TAG.unpack_from(method, at)
        at += 9
        key = at + 1 + method[at]
        self.contents.append(
            Content(
                tag, bool(redelivered), method[at + 1 : key],
                method[key + 1 : key + 1 + method[key]], self._head, body,
                method[5 : 5 + method[4]],
            )
        )  # fmt: skip

    # What pika asks of an adapter

    def _adapter_call_later(self, delay: float, callback: Callable[..., Any]) -> int:
        timer = next(self._timer_ids)
        self._timers[timer] = (time.monotonic() + delay, callback)
        return timer

    def _adapter_remove_timeout(self, timeout_id: Any) -> None:
        self._timers.pop(timeout_id, None)

    def _adapter_add_callback_threadsafe(self, callback: Callable[..., Any]) -> None:
        self._adapter_call_later(0, callback)

    def _adapter_connect_stream(self) -> None:
        try:
            self._on_stream_connected()
        except OSError as problem:  # a broker that hangs up before we have said a word
            self._fail(problem)

    def _adapter_disconnect_stream(self) -> None:
        self._sock.close()
        self._on_stream_terminated(None)

    def _adapter_emit_data(self, data: bytes) -> None:
        self._sock.settimeout(_SEND_SECONDS)
        self._sock.sendall(data)


def _words(problem: Exception) -> str:
    """A sentence's end for a page, from whatever pika or the socket said."""
    reply = getattr(problem, "reply_text", None)
    return reply or str(problem) or type(problem).__name__
