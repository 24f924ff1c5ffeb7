"""Why a port does not answer as expected: whether it speaks Redis without TLS."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from collectors.redis_pubsub.config import Endpoint
from eventhub.brokers.errors import BrokerError
from eventhub.brokers.sockets import open_socket

__all__ = ["PROBE_SECONDS", "speaks_plain_redis"]

PROBE_SECONDS: Final = 1.0
"""That either takes at most."""


def speaks_plain_redis(server: Endpoint, addresses: Sequence[str]) -> bool:
    with suppress(BrokerError, OSError), _probe(server, addresses) as sock:
        sock.sendall(b"PING\r\n")
        return sock.recv(1) in (b"+", b"-")
    return False


def _probe(server: Endpoint, addresses: Sequence[str]) -> socket.socket:
    sock = open_socket(server.host, server.port, addresses, PROBE_SECONDS / 2)
    sock.settimeout(PROBE_SECONDS / 2)
    return sock
