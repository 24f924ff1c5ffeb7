"""The contract over MQTT: 3.1.1 on Classic, which has a topic and a payload and nothing else, and
5 on Artemis, which has user properties, a content type and correlation data.

Dead letters are read over AMQP, whatever the source's own protocol is.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from collectors.activemq import ActiveMQ
from eventhub.brokers.contract import Confirmed, Message
from eventhub.events.headers import HeaderValue
from tests.brokers.activemq.rig import ActiveMQRig
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import BrokerContract, Rig, collect, opened, publishing


class _OverMqtt(ActiveMQ):
    """The adapter as an MQTT source sees it."""

    capabilities = msgspec.structs.replace(ActiveMQ.capabilities, dead_letters=None)


class MqttRig(ActiveMQRig):
    adapter = _OverMqtt()

    def __init__(self, server: ActiveMQServer) -> None:
        super().__init__(server)
        carried = set() if self.classic else {"content_type", "correlation_id", "headers"}
        self.carries = frozenset(carried)
        values: dict[str, HeaderValue] = {} if self.classic else {"text": "Grüße", "empty": ""}
        self.header_values: Mapping[str, HeaderValue] = MappingProxyType(values)
        self.missing_target = "waiting.queues-are-not-for-mqtt"
        self.proxied_port = server.ports["mqtt"]
        self.config = self.config_with(protocol="mqtt", port=self.proxied_port)
        self.bad_settings = {
            name: bad._replace(config=self._over_mqtt(bad.config))
            for name, bad in self.bad_settings.items()
        }
        # The step before any protocol is spoken, and slow: tested over AMQP.
        del self.bad_settings["TLS on a plain port"]
        words = self.bad_settings["another protocol"]._replace(words="does not speak MQTT")
        self.bad_settings["another protocol"] = words

    def _over_mqtt(self, config: Any) -> Any:
        changes: dict[str, Any] = {"protocol": "mqtt"}
        if config.port == self.server.ports["amqp"]:
            changes["port"] = self.server.ports["mqtt"]
        return config.model_copy(update=changes)

    def flood(self, payloads: list[bytes]) -> None:
        """By paho as it is, each acknowledged. Artemis changes the order of what one MQTT client
        has in flight (in 3 to 14 of 25 runs of 500 messages; AMQP subscribers see it too), so
        there it is sent by AMQP."""
        server = self.server
        if not self.classic:
            super().flood(payloads)
            return
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        client.max_inflight_messages_set(1_000)
        client.username_pw_set(server.user, server.password)
        client.connect(server.host, server.ports["mqtt"])
        client.loop_start()
        sent = [client.publish(self.topic.replace(".", "/"), each, qos=1) for each in payloads]
        for each in sent:
            each.wait_for_publish(20)
        client.disconnect()
        client.loop_stop()


class TestMqtt(BrokerContract):
    def test_publishing_confirms_each_of_many_in_order(self, rig: Rig) -> None:
        """As in the contract; what Artemis does to the order, `MqttRig.flood` says."""
        sent = [b"%d" % n for n in range(500)]
        with opened(rig) as consumer, publishing(rig) as publisher:
            outcomes = publisher.publish([Message(payload) for payload in sent], rig.target)
            assert [type(outcome) for outcome in outcomes] == [Confirmed] * len(sent)
            got = [delivery.payload for delivery in collect(consumer, len(sent))]
        assert isinstance(rig, MqttRig)
        assert got == sent if rig.classic else sorted(got) == sorted(sent)

    def test_after_a_broker_restart_a_new_consumer_gets_on(self, rig: Rig) -> None:
        """Tested over AMQP: to MQTT it is a cut connection, and a new subscription."""

    @pytest.fixture
    def rig(self, server: ActiveMQServer) -> Iterator[Rig]:
        rig = MqttRig(server)
        try:
            yield rig
        finally:
            rig.remove()
