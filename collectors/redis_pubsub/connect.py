"""From a configuration to a connection that is signed in, step by step."""

import socket
import ssl
import time
from typing import Final

import hiredis

from collectors.redis_pubsub.config import Endpoint, RedisPubSubConfig
from collectors.redis_pubsub.connection import Connection
from collectors.redis_pubsub.refusals import refusal
from eventhub.brokers.addresses import check_address
from eventhub.brokers.certificates import not_accepted
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["CONNECT_SECONDS", "dial", "left", "sign_in", "wrap_tls"]

CONNECT_SECONDS: Final = 5.0


def dial(
    config: RedisPubSubConfig,
    to: Endpoint,
    *,
    name: str,
    sentinel: bool = False,
    seconds: float = CONNECT_SECONDS,
) -> Connection:
    """A connection, signed in and called `name` in the server's CLIENT LIST.

    Whoever announced `to`, its address is checked as any other. Raises NotConnected or
    PermanentFailure.
    """
    deadline = time.monotonic() + seconds
    addresses = check_address(to.host, to.port, seconds)
    sock = open_socket(to.host, to.port, addresses, left(deadline))
    try:
        if config.sentinel_tls if sentinel else config.tls:
            sock = wrap_tls(sock, config, to.host, deadline)
        connection = Connection(sock)
        sign_in(connection, config, name, deadline, sentinel=sentinel)
    except BaseException:
        sock.close()
        raise
    return connection


def wrap_tls(
    sock: socket.socket, config: RedisPubSubConfig, host: str, deadline: float
) -> ssl.SSLSocket:
    """Speak TLS from here on, and verify who answers. Raises NotConnected or PermanentFailure."""
    context = _context(config)
    try:
        sock.settimeout(left(deadline))
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise not_accepted(error, "The server's certificate") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise NotConnected(f"No TLS connection came about: {reason}.") from error


def _context(config: RedisPubSubConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise PermanentFailure(
            f"The CA file {config.ca_file!r} cannot be read as certificates.",
            way_out="Give a PEM file that the collectors may read.",
        ) from error
    if not config.client_certificate_file:
        return context
    secret = config.client_key_password
    # Never None: OpenSSL would ask at a terminal for the password of an encrypted key.
    password = secret.get_secret_value() if secret else ""
    try:
        context.load_cert_chain(
            config.client_certificate_file, config.client_key_file or None, password
        )
    except (OSError, ssl.SSLError) as error:
        raise PermanentFailure(
            f"The client certificate {config.client_certificate_file!r} cannot be used with its"
            f" key: {getattr(error, 'reason', None) or error.strerror or error}.",
            way_out="Give PEM files that belong together and that the collectors may read, and the"
            " key's password if it has one.",
        ) from error
    return context


def sign_in(
    connection: Connection,
    config: RedisPubSubConfig,
    name: str,
    deadline: float,
    *,
    sentinel: bool = False,
) -> None:
    """Authenticate where there is something to authenticate with, and see that it answers.

    Raises NotConnected or PermanentFailure.
    """
    user, secret = (
        (config.sentinel_user, config.sentinel_password)
        if sentinel
        else (config.user, config.password)
    )
    password = secret.get_secret_value() if secret else ""
    try:
        if user:
            connection.call("AUTH", user, password, seconds=left(deadline))
        elif password:
            connection.call("AUTH", password, seconds=left(deadline))
        connection.call("PING", seconds=left(deadline))
    except hiredis.ReplyError as error:
        raise refusal(error, config, user) from error
    except NotConnected as error:
        raise _told_by_tls(error) from error
    try:
        connection.call("CLIENT", "SETNAME", name, seconds=left(deadline))
    except hiredis.ReplyError:
        return  # A courtesy to whoever reads CLIENT LIST; a user need not be allowed to.


def _told_by_tls(error: NotConnected) -> BrokerError:
    """With TLS 1.3 a server says what it thinks of the client's certificate after the handshake."""
    text = str(error)
    if "CERTIFICATE_REQUIRED" in text:
        return PermanentFailure(
            "The server asks for a client certificate.",
            way_out="Give the client certificate's file and its key's.",
        )
    if "CERTIFICATE_EXPIRED" in text:
        return PermanentFailure(
            "The client certificate has expired.", way_out="Have a new one signed."
        )
    if "UNKNOWN_CA" in text or "BAD_CERTIFICATE" in text or "DECRYPT_ERROR" in text:
        return PermanentFailure(
            "The server does not trust the client certificate.",
            way_out="Give one that an authority of its tls-ca-cert-file has signed.",
        )
    return error


def left(deadline: float) -> float:
    """Seconds until a monotonic time; never none at all."""
    return max(deadline - time.monotonic(), 0.05)
