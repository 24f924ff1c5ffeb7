"""Subscriptions over MQTT, at quality of service 1."""

import socket
from collections.abc import Sequence

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.feed import HELD_BYTES, OVERFLOW
from collectors.activemq.mqtt_translate import delivery, filter_of
from collectors.activemq.mqtt_wire import CALL_SECONDS, MqttWire
from collectors.activemq.names import Name
from collectors.activemq.refusals import may_not
from eventhub.brokers.contract import Delivery

__all__ = ["MqttFeed"]


class MqttFeed:
    """See `collectors.activemq.feed.Feed`."""

    def __init__(
        self, config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float
    ) -> None:
        self._config = config
        self._wire = MqttWire(config, sock, purpose, deadline)
        self._held_bytes = 0

    @property
    def lost(self) -> str:
        return self._wire.lost

    @property
    def heard(self) -> int:
        return self._wire.heard

    def subscribe(self, names: Sequence[Name], *, takes: bool) -> None:
        assert not takes, "MQTT knows no queues"
        self.probe(names, CALL_SECONDS)

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
