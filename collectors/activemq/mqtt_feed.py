"""Subscriptions and publishing over MQTT: paho's engine, in our own thread and on our own socket.

Classic speaks MQTT 3.1.1 at most, Artemis also 5. Sessions are clean: the broker forgets them.
"""

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import CONNECT_SECONDS, connect
from collectors.activemq.feed import HELD_BYTES, OVERFLOW
from collectors.activemq.mqtt_translate import delivery, filter_of, properties
from collectors.activemq.names import Name, parse
from collectors.activemq.refusals import may_not, not_mqtt, who_refused
from collectors.activemq.wire import now
from eventhub.brokers.contract import Confirmed, Delivery, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import NotConnected

__all__ = ["MqttFeed", "MqttPublisher"]

_CALL_SECONDS: Final = 10.0
_KEEP_ALIVE: Final = 10
_WINDOW: Final = 500
_LARGEST: Final = 268_435_455
_REFUSED_FROM: Final = 128
_LOGIN: Final = ("bad user", "not authori", "banned", "bad authentication")


class _Client(paho.Client):
    """Uses a socket that is connected already, past the address policy and under TLS."""

    def __init__(self, given: socket.socket, **more: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, reconnect_on_failure=False, **more)
        self._given = given

    def _create_socket_connection(self) -> socket.socket:
        return self._given


class _Wire:
    """After the first failure `lost` says why; `arrived` and `answers` have what came."""

    def __init__(
        self, config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float
    ) -> None:
        self.lost = ""
        self.heard = now()
        self.arrived: deque[paho.MQTTMessage] = deque()
        self.answers: dict[int, str] = {}
        """What the broker said to a packet's number; "" where it agreed."""
        self._config = config
        self._socket = sock
        self._greeting = b""
        self._connected: Any = None
        self.client = client = _Client(
            sock,
            client_id=f"eventhub-{purpose}-{uuid4().hex[:8]}",
            protocol=paho.MQTTv311 if config.classic else paho.MQTTv5,
            **({"clean_session": True} if config.classic else {}),
        )
        client.max_inflight_messages_set(_WINDOW)
        client.max_queued_messages_set(0)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _client, _data, message: self.arrived.append(message)
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        if config.user:
            password = config.password.get_secret_value() if config.password else ""
            client.username_pw_set(config.user, password)
        try:
            self._sign_in(deadline)
        except BaseException:
            self.sever()
            raise

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for something, and read all that has come. Never raises."""
        if self.lost:
            return
        client = self.client
        if client.want_write():
            client.loop_write()
        if self._readable(min(max(seconds, 0.0), 1.0)):
            self.heard = now()
            self._peek()
            # paho reads one packet a call.
            while client.loop_read() is MQTTErrorCode.MQTT_ERR_SUCCESS and self._readable(0):
                if len(self.arrived) >= 10_000:
                    break
        client.loop_misc()
        if client.want_write():
            client.loop_write()
        if client.socket() is None:
            self.fail("The broker closed the connection.")

    def wait_for(self, packet: int, seconds: float) -> str:
        """What the broker says to a packet. Raises NotConnected."""
        deadline = time.monotonic() + seconds
        while packet not in self.answers:
            self.check()
            if time.monotonic() > deadline:
                self.fail("The broker did not answer in time.")
            self.pump(deadline - time.monotonic())
        return self.answers.pop(packet)

    def check(self) -> None:
        if self.lost:
            raise NotConnected(self.lost)

    def fail(self, reason: str) -> None:
        self.lost = self.lost or reason

    def sever(self) -> None:
        self.fail("The connection is closed.")
        self._socket.close()

    def close(self) -> None:
        if not self.lost:
            self.client.disconnect()
            with suppress(OSError):
                self.client.loop_write()
        self.sever()

    def _sign_in(self, deadline: float) -> None:
        config = self._config
        self.client.connect(
            config.host,
            config.real_port(),
            _KEEP_ALIVE,
            clean_start=paho.MQTT_CLEAN_START_FIRST_ONLY if config.classic else True,
        )
        while self._connected is None:
            if self.lost or time.monotonic() > deadline:
                raise not_mqtt(config, self._greeting) or NotConnected(
                    f"{config.address()} takes connections, but does not answer in MQTT.",
                    way_out="Give the port of the broker's MQTT connector (usually 1883).",
                )
            self.pump(deadline - time.monotonic())
        if self._connected.is_failure:
            words = str(self._connected)
            if words.lower().startswith(_LOGIN):
                raise who_refused(config)
            raise NotConnected(f"The broker refused the connection: {words}.")

    def _readable(self, seconds: float) -> bool:
        sock = self.client.socket()
        if sock is None:
            return False
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _peek(self) -> None:
        """The first bytes, for a port that speaks something else; TLS cannot be peeked into."""
        if not self._greeting and not isinstance(self._socket, ssl.SSLSocket):
            with suppress(OSError):
                self._greeting = self._socket.recv(8, socket.MSG_PEEK)

    def _on_connect(self, _c: object, _d: object, _f: object, reason: Any, _p: object) -> None:
        self._connected = reason

    def _on_disconnect(self, _c: object, _d: object, _f: object, reason: Any, _p: object) -> None:
        self.fail(f"The broker closed the connection: {reason}.")

    def _on_subscribe(
        self, _c: object, _d: object, packet: int, reasons: Sequence[Any], _p: object
    ) -> None:
        refused = [str(each) for each in reasons if each.value >= _REFUSED_FROM]
        self.answers[packet] = ", ".join(refused)

    def _on_publish(self, _c: object, _d: object, packet: int, reason: Any, _p: object) -> None:
        self.answers[packet] = str(reason) if reason.value >= _REFUSED_FROM else ""


class MqttFeed:
    """See `collectors.activemq.feed.Feed`."""

    def __init__(
        self, config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float
    ) -> None:
        self._config = config
        self._wire = _Wire(config, sock, purpose, deadline)
        self._held_bytes = 0

    @property
    def lost(self) -> str:
        return self._wire.lost

    @property
    def heard(self) -> int:
        return self._wire.heard

    def subscribe(self, names: Sequence[Name], *, takes: bool) -> None:
        assert not takes, "MQTT knows no queues"
        self.probe(names, _CALL_SECONDS)

    def probe(self, names: Sequence[Name], seconds: float) -> None:
        for name in names:
            pattern = filter_of(name, classic=self._config.classic)
            _, packet = self._wire.client.subscribe(pattern, qos=1)
            refusal = self._wire.wait_for(packet or 0, seconds)
            if refusal:
                raise may_not(self._config, name.words, refusal)

    def pump(self, seconds: float) -> None:
        arrived = self._wire.arrived
        before = len(arrived)
        self._wire.pump(0.0 if arrived else seconds)
        self._held_bytes += sum(len(arrived[n].payload) for n in range(before, len(arrived)))
        if self._held_bytes > HELD_BYTES:
            self._wire.fail(OVERFLOW)

    def take(self, most: int) -> tuple[list[Delivery], object]:
        arrived = self._wire.arrived
        found = [delivery(arrived.popleft()) for _ in range(min(most, len(arrived)))]
        self._held_bytes -= sum(len(each.payload) for each in found)
        return found, None

    def settle(self, token: object) -> None:
        """There is nothing to tell."""

    def close(self) -> None:
        self._wire.close()

    def sever(self) -> None:
        self._wire.sever()


class MqttPublisher:
    """See `eventhub.brokers.contract.Publisher`. Quality of service 1: each is acknowledged."""

    def __init__(self, config: ActiveMQConfig) -> None:
        self._config = config
        self._wire: _Wire | None = None

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if not messages:
            return []
        name = parse(target)
        if not name.topic:
            return [Refused("MQTT publishes to topics only: topic://name.")] * len(messages)
        wire = self._ready()
        topic = filter_of(name, classic=self._config.classic)
        packets: list[int | Refused] = []
        for message in messages:
            if len(message.payload) > _LARGEST - len(topic) - 65_536:
                packets.append(Refused("MQTT carries 256 MiB at most."))
                continue
            if len(packets) - len(wire.answers) >= _WINDOW:
                _wait(wire, len(packets) - _WINDOW // 2)
            if wire.lost or len(packets) - len(wire.answers) >= _WINDOW:
                break
            packets.append(self._send(wire, topic, message))
        _wait(wire, sum(not isinstance(packet, Refused) for packet in packets))
        outcomes = _outcomes(wire, packets, len(messages))
        wire.answers.clear()
        return outcomes

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _send(self, wire: _Wire, topic: str, message: Message) -> int | Refused:
        told = None if self._config.classic else properties(message)
        try:
            return wire.client.publish(topic, message.payload, qos=1, properties=told).mid
        except ValueError as problem:
            return Refused(f"MQTT cannot carry this: {problem}.")

    def _ready(self) -> _Wire:
        if self._wire is not None:
            self._wire.pump(0)
            if self._wire.lost:
                self.close()
        if self._wire is None:
            deadline = time.monotonic() + CONNECT_SECONDS
            sock = connect(self._config, deadline)
            self._wire = _Wire(self._config, sock, "publisher", deadline)
        return self._wire


def _wait(wire: _Wire, count: int) -> None:
    """Until so many are answered, or no answer comes any more."""
    known, deadline = len(wire.answers), time.monotonic() + _CALL_SECONDS
    while len(wire.answers) < count and not wire.lost:
        wire.pump(0.1)
        if len(wire.answers) != known:
            known, deadline = len(wire.answers), time.monotonic() + _CALL_SECONDS
        elif time.monotonic() > deadline:
            return


def _outcomes(wire: _Wire, packets: Sequence[int | Refused], count: int) -> list[Outcome]:
    reason = wire.lost or "The broker did not answer in time."
    unknown = Unknown(f"{reason} The message may or may not have been taken.")
    found: list[Outcome] = []
    for packet in packets:
        if isinstance(packet, Refused):
            found.append(packet)
        elif packet not in wire.answers:
            found.append(unknown)
        elif words := wire.answers[packet]:
            found.append(Refused(f"The broker refused: {words}."))
        else:
            found.append(Confirmed())
    return found + [Refused(f"Not sent: {reason}")] * (count - len(found))
