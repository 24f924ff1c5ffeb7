"""An MQTT connection: paho's engine, in our own thread and on our own socket.

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
from collectors.activemq.refusals import not_mqtt, who_refused
from collectors.activemq.wire import now
from eventhub.brokers.errors import NotConnected

__all__ = ["CALL_SECONDS", "IN_FLIGHT", "MqttWire"]

CALL_SECONDS: Final = 10.0
IN_FLIGHT: Final = 500
"""Messages of ours that may wait for the broker's word."""
_KEEP_ALIVE: Final = 10
_HELD: Final = 10_000
_REFUSED_FROM: Final = 128
_LOGIN: Final = ("bad user", "not authori", "banned", "bad authentication")


class _Client(paho.Client):
    """Uses a socket that is connected already, past the address policy and under TLS."""

    def __init__(self, given: socket.socket, **more: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, reconnect_on_failure=False, **more)
        self._given = given

    def _create_socket_connection(self) -> socket.socket:
        return self._given


class MqttWire:
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
        client.max_inflight_messages_set(IN_FLIGHT)
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
                if len(self.arrived) > _HELD:
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
