"""A TCP connection to a broker, for adapters that speak its protocol on a socket of their own."""

import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress

from eventhub.brokers.errors import NotConnected

__all__ = ["open_socket", "speaks_tls"]


def open_socket(host: str, port: int, addresses: Sequence[str], seconds: float) -> socket.socket:
    """Connect to the first of `addresses` that takes it, within `seconds` for all of them.

    `addresses` are those that `check_address` allowed for `host`; each gets an equal share of the
    time that is left, so that one which swallows packets does not use up the others'.
    Raises NotConnected.
    """
    problem: OSError = OSError("it has no address")
    deadline = time.monotonic() + seconds
    for number, address in enumerate(addresses):
        share = (deadline - time.monotonic()) / (len(addresses) - number)
        try:
            sock = socket.create_connection((address, port), timeout=max(share, 0.1))
        except OSError as error:
            problem = error
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    where = f"{host}:{port}"
    if isinstance(problem, ConnectionRefusedError):
        raise NotConnected(
            f"Nothing listens on {where}.",
            way_out="Check the port, and that the broker runs and binds this address.",
        ) from problem
    if isinstance(problem, TimeoutError):
        raise NotConnected(
            f"{where} does not answer.",
            way_out="Check the address; a firewall may drop what is sent there.",
        ) from problem
    raise NotConnected(f"{where} cannot be reached: {problem.strerror or problem}.") from problem


def speaks_tls(host: str, port: int, addresses: Sequence[str], seconds: float) -> bool:
    """Whether a port that did not answer as expected answers in TLS, with whatever certificate.

    `seconds` are for connecting, and again for each answer of the handshake.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(NotConnected, OSError), open_socket(host, port, addresses, seconds) as sock:
        sock.settimeout(seconds)
        context.wrap_socket(sock, server_hostname=host).close()
        return True
    return False
