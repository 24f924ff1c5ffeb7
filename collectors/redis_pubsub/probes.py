"""Why a port does not answer as expected: whether it speaks TLS, or does not."""

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from collectors.redis_pubsub.config import Endpoint
from eventhub.brokers.errors import BrokerError
from eventhub.brokers.sockets import open_socket

__all__ = ["PROBE_SECONDS", "speaks_plain_redis", "speaks_tls"]

PROBE_SECONDS: Final = 1.0
"""That either takes at most."""


def speaks_plain_redis(server: Endpoint, addresses: Sequence[str]) -> bool:
    with suppress(BrokerError, OSError), _probe(server, addresses) as sock:
        sock.sendall(b"PING\r\n")
        return sock.recv(1) in (b"+", b"-")
    return False


def speaks_tls(server: Endpoint, addresses: Sequence[str]) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(BrokerError, OSError), _probe(server, addresses) as sock:
        context.wrap_socket(sock, server_hostname=server.host).close()
        return True
    return False


def _probe(server: Endpoint, addresses: Sequence[str]) -> socket.socket:
    sock = open_socket(server.host, server.port, addresses, PROBE_SECONDS / 2)
    sock.settimeout(PROBE_SECONDS / 2)
    return sock
