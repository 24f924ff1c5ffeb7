"""From a configuration to an open connection, one step after the other.

Each step raises NotConnected or PermanentFailure with words for the Sources page.
"""

import socket
import time
from typing import Final

import pika

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.refusals import not_opened
from collectors.rabbitmq.tls import secure
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import NotConnected
from eventhub.brokers.sockets import open_socket

__all__ = ["connect", "log_in"]

HEARTBEAT: Final = 10
"""Seconds; both sides take the other for dead after about two of them."""


def connect(config: RabbitMQConfig, purpose: str, seconds: float = 10) -> Wire:
    """An open connection. `purpose` is what RabbitMQ's own pages show for it."""
    deadline = time.monotonic() + seconds
    sock = open_socket(config.host, config.port, check_address(config.host, config.port), seconds)
    try:
        sock = secure(config, sock)
        return log_in(config, sock, purpose, max(deadline - time.monotonic(), 1.0))
    except BaseException:
        sock.close()
        raise


def log_in(config: RabbitMQConfig, sock: socket.socket, purpose: str, seconds: float) -> Wire:
    """The AMQP handshake: user, password or certificate, and virtual host."""
    by_password = config.authentication == "password"
    parameters = pika.ConnectionParameters(
        host=config.host,
        port=config.port,
        virtual_host=config.virtual_host,
        credentials=pika.PlainCredentials(config.user, config.password.get_secret_value())
        if by_password
        else pika.credentials.ExternalCredentials(),
        heartbeat=HEARTBEAT,
        client_properties={"connection_name": f"EventHub {purpose}"},
    )
    wire = Wire(parameters, sock)
    try:
        wire.wait_for(lambda: wire.is_open, seconds, "finish the AMQP handshake")
    except NotConnected as problem:
        wire.sever()
        raise not_opened(config, wire) or problem from problem
    return wire
