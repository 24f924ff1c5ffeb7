"""A STOMP connection over a socket of our own."""

import select
import socket
import ssl
import time
from typing import Final
from uuid import uuid4

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.names import Name
from collectors.activemq.refusals import may_not, not_stomp, who_refused
from collectors.activemq.stomp_frames import Frame, Reader, encode
from collectors.activemq.wire import now
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["StompWire", "address", "refusal"]

CALL_SECONDS: Final = 10.0
_HEART_BEAT: Final = 8.0
"""Seconds after which we say something, and expect the broker to."""
_SILENCE: Final = 2.5 * _HEART_BEAT
_READ: Final = 262_144


class StompWire:
    """After the first failure `lost` says why; `messages` and `receipts` have what came."""

    def __init__(
        self, config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float
    ) -> None:
        self.lost = ""
        self.heard = now()
        self.messages: list[Frame] = []
        self.receipts: set[str] = set()
        self.refusals: dict[str, str] = {}
        """What the broker refused, by the receipt that was asked for."""
        self._config = config
        self._socket = sock
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._reader = Reader()
        self._greeting = b""
        self._unsent = bytearray()
        self._spoke = self._listened = time.monotonic()
        self._connected = False
        self._number = 0
        try:
            self._sign_in(purpose, deadline)
        except BaseException:
            self.sever()
            raise

    def send(
        self,
        command: str,
        headers: list[tuple[str, str]],
        body: bytes = b"",
        *,
        receipt: bool = False,
    ) -> str:
        """Put a frame on its way; returns the receipt that will come for it."""
        told = ""
        if receipt:
            self._number += 1
            told = str(self._number)
            headers = [*headers, ("receipt", told)]
        self._unsent += encode(command, headers, body)
        self._flush()
        return told

    def call(
        self, command: str, headers: list[tuple[str, str]], seconds: float = CALL_SECONDS
    ) -> None:
        """Send, and wait for the receipt. Raises PermanentFailure where the broker refuses."""
        told = self.send(command, headers, receipt=True)
        deadline = time.monotonic() + seconds
        while told not in self.receipts:
            # Artemis does not say which frame its error is about: it was the last one.
            words = self.refusals.get(told) or self.refusals.get("")
            if words:
                raise PermanentFailure(f"The broker refused: {words}.")
            self.check()
            if time.monotonic() > deadline:
                self.fail("The broker did not answer in time.")
            self.pump(deadline - time.monotonic())
        self.receipts.discard(told)

    def check(self) -> None:
        if self.lost:
            raise NotConnected(self.lost)

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for something, and read it. Never raises."""
        if self.lost:
            return
        self._beat()
        self._flush()
        flags = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        self._poll.modify(self._socket, flags)
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        self._poll.poll(0 if pending else min(max(seconds, 0.0), 1.0) * 1000)
        self._flush()
        self._receive()

    def fail(self, reason: str) -> None:
        self.lost = self.lost or reason

    def sever(self) -> None:
        self.fail("The connection is closed.")
        self._socket.close()

    def close(self) -> None:
        if not self.lost:
            try:
                self.call("DISCONNECT", [], seconds=2.0)
            except BrokerError:
                self.fail("The broker did not say goodbye.")
        self.sever()

    def _sign_in(self, purpose: str, deadline: float) -> None:
        config = self._config
        beat = str(round(_HEART_BEAT * 1000))
        headers = [
            ("accept-version", "1.2"),
            ("host", config.host),
            ("heart-beat", f"{beat},{beat}"),
            ("client-id", f"eventhub-{purpose}-{uuid4().hex[:8]}"),
        ]
        if config.user:
            password = config.password.get_secret_value() if config.password else ""
            headers += [("login", config.user), ("passcode", password)]
        if any("\n" in value for _, value in headers):
            raise PermanentFailure("STOMP cannot carry a user or password with a line break.")
        self.send("CONNECT", headers)
        while not self._connected:
            if self.lost:
                raise self._why_not()
            if time.monotonic() > deadline:
                raise not_stomp(config, self._greeting) or NotConnected(
                    f"{config.address()} takes connections, but does not answer in STOMP.",
                    way_out="Give the port of the broker's STOMP connector (usually 61613).",
                )
            self.pump(deadline - time.monotonic())

    def _why_not(self) -> BrokerError:
        refused = self.refusals.get("")
        if refused is not None:
            return who_refused(self._config)
        return not_stomp(self._config, self._greeting) or NotConnected(self.lost)

    def _beat(self) -> None:
        moment = time.monotonic()
        if moment - self._spoke > _HEART_BEAT / 2 and not self._unsent:
            self._unsent += b"\n"
        if moment - self._listened > _SILENCE:
            self.fail(f"The broker has said nothing for {_SILENCE:g} seconds.")

    def _flush(self) -> None:
        while self._unsent and not self.lost:
            try:
                sent = self._socket.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except (OSError, ValueError) as problem:
                self.fail(f"The connection broke: {getattr(problem, 'strerror', None) or problem}.")
                return
            del self._unsent[:sent]
            self._spoke = time.monotonic()

    def _receive(self) -> None:
        for _ in range(16):
            try:
                data = self._socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except (OSError, ValueError) as problem:
                self.fail(f"The connection broke: {getattr(problem, 'strerror', None) or problem}.")
                return
            if not data:
                self.fail("The broker closed the connection.")
                return
            self.heard, self._listened = now(), time.monotonic()
            if len(self._greeting) < 8:
                self._greeting += data[:8]
            try:
                self._reader.feed(data)
            except ValueError as problem:
                self.fail(f"The connection broke: what answers is no STOMP ({problem}).")
                return
            self._sort()

    def _sort(self) -> None:
        frames = self._reader.frames
        while frames:
            frame = frames.popleft()
            if frame.command == "MESSAGE":
                self.messages.append(frame)
            elif frame.command == "RECEIPT":
                self.receipts.add(frame.headers.get("receipt-id", ""))
            elif frame.command == "CONNECTED":
                self._connected = True
            elif frame.command == "ERROR":
                words = frame.headers.get("message") or frame.body.decode("utf-8", "replace")
                self.refusals[frame.headers.get("receipt-id", "")] = words.strip().rstrip(".")
                if not self._connected or "receipt-id" not in frame.headers:
                    self.fail(f"The broker ended the connection: {words.strip().rstrip('.')}.")


def address(config: ActiveMQConfig, name: Name, *, sending: bool) -> list[tuple[str, str]]:
    """The headers that name a destination
    (https://activemq.apache.org/components/artemis/documentation/latest/stomp.html)."""
    if config.classic:
        return [("destination", f"/{'topic' if name.topic else 'queue'}/{name.text}")]
    kind = "destination-type" if sending else "subscription-type"
    return [("destination", name.text), (kind, "MULTICAST" if name.topic else "ANYCAST")]


def refusal(config: ActiveMQConfig, name: Name, problem: PermanentFailure) -> PermanentFailure:
    """Words for a refused SUBSCRIBE."""
    said = str(problem).removeprefix("The broker refused: ")
    if "not authorized" in said.lower() or "permission" in said.lower():
        return may_not(config, name.words, said)
    return problem
