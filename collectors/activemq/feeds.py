"""Which connection a protocol has."""

import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

from collectors.activemq.amqp import AmqpFeed
from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import CONNECT_SECONDS, connect
from collectors.activemq.feed import Feed
from collectors.activemq.mqtt_feed import MqttFeed
from collectors.activemq.stomp_feed import StompFeed

__all__ = ["open_feed", "sign_in"]

_Maker = Callable[[ActiveMQConfig, socket.socket, str, float], Feed]

_FEEDS: Final[Mapping[str, _Maker]] = {"amqp": AmqpFeed, "stomp": StompFeed, "mqtt": MqttFeed}


def open_feed(config: ActiveMQConfig, purpose: str) -> Feed:
    """A connection that is signed in. Raises NotConnected or PermanentFailure."""
    deadline = time.monotonic() + CONNECT_SECONDS
    return sign_in(config, connect(config, deadline), purpose, deadline)


def sign_in(config: ActiveMQConfig, sock: socket.socket, purpose: str, deadline: float) -> Feed:
    """Speak the source's protocol over a connected socket. Raises NotConnected or
    PermanentFailure, and then the socket is closed."""
    return _FEEDS[config.protocol](config, sock, purpose, deadline)
