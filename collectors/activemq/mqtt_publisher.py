"""Publishes over MQTT at quality of service 1: each message is acknowledged, many in flight."""

import time
from collections.abc import Sequence
from typing import Final

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import CONNECT_SECONDS, connect
from collectors.activemq.mqtt_translate import filter_of, properties
from collectors.activemq.mqtt_wire import CALL_SECONDS, IN_FLIGHT, MqttWire
from collectors.activemq.names import parse
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown

__all__ = ["MqttPublisher"]

_LARGEST: Final = 268_435_455
"""Bytes of a packet (MQTT 5, 2.1.4)."""


class MqttPublisher:
    """See `eventhub.brokers.contract.Publisher`. Quality of service 1: each is acknowledged."""

    def __init__(self, config: ActiveMQConfig) -> None:
        self._config = config
        self._wire: MqttWire | None = None

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
            if len(packets) - len(wire.answers) >= IN_FLIGHT:
                _wait(wire, len(packets) - IN_FLIGHT // 2)
            if wire.lost or len(packets) - len(wire.answers) >= IN_FLIGHT:
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

    def _send(self, wire: MqttWire, topic: str, message: Message) -> int | Refused:
        told = None if self._config.classic else properties(message)
        try:
            return wire.client.publish(topic, message.payload, qos=1, properties=told).mid
        except ValueError as problem:
            return Refused(f"MQTT cannot carry this: {problem}.")

    def _ready(self) -> MqttWire:
        if self._wire is not None:
            self._wire.pump(0)
            if self._wire.lost:
                self.close()
        if self._wire is None:
            deadline = time.monotonic() + CONNECT_SECONDS
            sock = connect(self._config, deadline)
            self._wire = MqttWire(self._config, sock, "publisher", deadline)
        return self._wire


def _wait(wire: MqttWire, count: int) -> None:
    """Until so many are answered, or no answer comes any more."""
    known, deadline = len(wire.answers), time.monotonic() + CALL_SECONDS
    while len(wire.answers) < count and not wire.lost:
        wire.pump(0.1)
        if len(wire.answers) != known:
            known, deadline = len(wire.answers), time.monotonic() + CALL_SECONDS
        elif time.monotonic() > deadline:
            return


def _outcomes(wire: MqttWire, packets: Sequence[int | Refused], count: int) -> list[Outcome]:
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
