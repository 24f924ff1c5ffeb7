"""From a configuration to a connection that is signed in, step by step."""

import socket
import ssl
import time
from typing import Final

import hiredis

from collectors.redis_pubsub.config import RedisPubSubConfig
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.refusals import refusal
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["connect", "sign_in", "wrap_tls"]

CONNECT_SECONDS: Final = 5.0


def connect(config: RedisPubSubConfig, *, name: str) -> Connection:
    """A connection, signed in and called `name` in the server's CLIENT LIST.

    Raises NotConnected or PermanentFailure.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    addresses = check_address(config.host, config.port)
    sock = open_socket(config.host, config.port, addresses, _left(deadline))
    try:
        if config.tls:
            sock = wrap_tls(sock, config, deadline)
        connection = Connection(sock)
        sign_in(connection, config, name, deadline)
    except BaseException:
        sock.close()
        raise
    return connection


def wrap_tls(sock: socket.socket, config: RedisPubSubConfig, deadline: float) -> ssl.SSLSocket:
    """Speak TLS from here on, and verify who answers. Raises NotConnected or PermanentFailure."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise PermanentFailure(
            f"The CA file {config.ca_file!r} cannot be read as certificates.",
            way_out="Give a PEM file that the collectors may read.",
        ) from error
    try:
        sock.settimeout(_left(deadline))
        return context.wrap_socket(sock, server_hostname=config.host)
    except ssl.SSLCertVerificationError as error:
        raise PermanentFailure(
            f"The server's certificate is not trusted: {error.verify_message}.",
            way_out="Give the CA file of the authority that signed it, and the name it is for.",
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise NotConnected(f"No TLS connection came about: {reason}.") from error


def sign_in(connection: Connection, config: RedisPubSubConfig, name: str, deadline: float) -> None:
    """Authenticate where there is something to authenticate with, and see that it answers.

    Raises NotConnected or PermanentFailure.
    """
    password = config.password.get_secret_value() if config.password else ""
    try:
        if config.user:
            connection.call("AUTH", config.user, password, seconds=_left(deadline))
        elif password:
            connection.call("AUTH", password, seconds=_left(deadline))
        connection.call("PING", seconds=_left(deadline))
    except hiredis.ReplyError as error:
        raise refusal(error, config) from error
    try:
        connection.call("CLIENT", "SETNAME", name, seconds=_left(deadline))
    except hiredis.ReplyError:
        return  # A courtesy to whoever reads CLIENT LIST; a user need not be allowed to.


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.05)
