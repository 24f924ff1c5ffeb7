"""The contract over STOMP, on both brokers: less, as STOMP's headers are texts.

Dead letters are read over AMQP, whatever the source's own protocol is.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
import stomp

from collectors.activemq import ActiveMQ
from eventhub.brokers.errors import PermanentFailure
from eventhub.events.headers import HeaderValue
from tests.brokers.activemq.rig import ActiveMQRig
from tests.brokers.activemq.server import ActiveMQServer
from tests.contracts.broker import BrokerContract, Rig


class _OverStomp(ActiveMQ):
    """The adapter as a STOMP source sees it whose mode is tap."""

    capabilities = msgspec.structs.replace(ActiveMQ.capabilities, dead_letters=None)


class _Receipts(stomp.ConnectionListener):
    def __init__(self) -> None:
        self.problem = ""

    def on_error(self, frame: Any) -> None:
        self.problem = str(frame.headers)


class StompRig(ActiveMQRig):
    adapter = _OverStomp()
    header_values: Mapping[str, HeaderValue] = MappingProxyType(
        {"text": "Grüße", "escaped": "a:b\\c\nd\\n", "empty": ""}
    )

    def __init__(self, server: ActiveMQServer) -> None:
        super().__init__(server)
        carried = {"type", "correlation_id", "content_type", "headers"}
        # Classic takes a group id, and does not give it back.
        self.carries = frozenset(carried if self.classic else {*carried, "key"})
        self.proxied_port = server.ports["stomp"]
        self.config = self.config_with(protocol="stomp", port=self.proxied_port)
        self.bad_settings = {
            name: bad._replace(config=self._over_stomp(name, bad.config))
            for name, bad in self.bad_settings.items()
        }
        # The step before any protocol is spoken, and slow: tested over AMQP.
        del self.bad_settings["TLS on a plain port"]
        words = self.bad_settings["another protocol"]._replace(words="does not speak STOMP")
        self.bad_settings["another protocol"] = words

    def _over_stomp(self, name: str, config: Any) -> Any:
        changes: dict[str, Any] = {"protocol": "stomp"}
        if config.port == self.server.ports["amqp"]:
            changes["port"] = self.server.ports["stomp"]
        return config.model_copy(update=changes)

    def flood(self, payloads: list[bytes]) -> None:
        """By stomp.py, in one transaction: its commit is answered when all have been taken."""
        if not payloads:
            return
        server = self.server
        connection = stomp.Connection12([(server.host, server.ports["stomp"])])
        listener = _Receipts()
        waiting = stomp.listener.WaitingListener("all taken")
        connection.set_listener("errors", listener)
        connection.set_listener("receipts", waiting)
        connection.connect(server.user, server.password, wait=True)
        where = f"/topic/{self.topic}" if self.classic else self.topic
        more = {} if self.classic else {"destination-type": "MULTICAST"}
        for payload in payloads:
            connection.send(where, payload, **more)
        connection.send(f"{where}.end", b"", receipt="all taken", **more)
        waiting.wait_on_receipt()
        connection.remove_listener("receipts")
        connection.disconnect()
        assert not listener.problem, listener.problem


class TestStomp(BrokerContract):
    def test_after_a_broker_restart_a_new_consumer_gets_on(self, rig: Rig) -> None:
        """Tested over AMQP: to STOMP it is a cut connection, and a new subscription."""

    @pytest.fixture
    def rig(self, server: ActiveMQServer) -> Iterator[Rig]:
        rig = StompRig(server)
        try:
            yield rig
        finally:
            rig.remove()

    def test_dead_letters_say_which_protocol_they_need(self, rig: Rig) -> None:
        with pytest.raises(PermanentFailure, match="over AMQP"):
            rig.adapter.dead_letters(rig.config)
