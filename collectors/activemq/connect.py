"""From a configuration to a socket, plain or TLS, to an address that is allowed."""

import socket
import ssl
import time
from pathlib import Path
from typing import Final

from collectors.activemq.config import ActiveMQConfig
from eventhub.brokers.addresses import check_address
from eventhub.brokers.certificates import not_accepted
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["CONNECT_SECONDS", "connect", "tls_context", "wrap_tls"]

CONNECT_SECONDS: Final = 8.0


def connect(config: ActiveMQConfig, deadline: float) -> socket.socket:
    """A connected socket, under TLS if the configuration asks for it.

    `deadline` is in monotonic seconds. Raises NotConnected or PermanentFailure.
    """
    port = config.real_port()
    addresses = check_address(config.host, port, _left(deadline))
    sock = open_socket(config.host, port, addresses, _left(deadline))
    if not config.tls:
        return sock
    try:
        return wrap_tls(sock, config, deadline)
    except BaseException:
        sock.close()
        raise


def wrap_tls(sock: socket.socket, config: ActiveMQConfig, deadline: float) -> ssl.SSLSocket:
    """Speak TLS from here on, and verify who answers. Raises NotConnected or PermanentFailure."""
    context = tls_context(config)
    try:
        sock.settimeout(_left(deadline))
        return context.wrap_socket(sock, server_hostname=config.host)
    except ssl.SSLCertVerificationError as problem:
        raise not_accepted(problem, "The broker's certificate") from problem
    except TimeoutError as problem:
        raise NotConnected(
            f"{config.address()} takes connections, and does not answer in TLS.",
            way_out="Turn TLS off, or give the port that speaks TLS.",
        ) from problem
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", None) or getattr(problem, "strerror", None) or problem
        raise NotConnected(
            f"No TLS connection to {config.address()} came about: {reason}.",
            way_out="Turn TLS off, or give the port that speaks TLS.",
        ) from problem


def tls_context(config: ActiveMQConfig) -> ssl.SSLContext:
    """Raises PermanentFailure naming the file that cannot be used."""
    for path in (config.ca_file, config.client_certificate_file, config.client_key_file):
        if path and not Path(path).is_file():
            raise PermanentFailure(
                f"There is no file {path!r}.",
                way_out="Paths are those of the machine that runs the collectors.",
            )
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
        if config.client_certificate_file:
            context.load_cert_chain(config.client_certificate_file, config.client_key_file or None)
    except OSError as problem:
        raise PermanentFailure(
            f"The certificate files cannot be used: {problem.strerror or problem}."
        ) from problem
    return context


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.05)
