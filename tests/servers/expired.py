"""A TLS port whose certificate ran out yesterday, as one finds before a broker of any kind."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.brokers.kafka.certificates import KEY_PASSWORD, make_certificates

__all__ = ["ExpiredPort", "expired_port"]


class ExpiredPort(NamedTuple):
    port: int
    authority: Path
    """PEM file of who signed the certificate, for 127.0.0.1 and localhost."""


@contextmanager
def expired_port(folder: Path) -> Iterator[ExpiredPort]:
    """Nothing lies behind it: a client that checks certificates sends nothing here."""
    files = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.expired, files.client_key, KEY_PASSWORD)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # closing the listener ends this
            while True:
                client = listener.accept()[0]
                # Each in a thread: a client that says nothing must not keep the others waiting.
                threading.Thread(target=_shake_hands, args=(context, client), daemon=True).start()

    threading.Thread(target=serve, daemon=True, name="expired port").start()
    try:
        yield ExpiredPort(listener.getsockname()[1], files.authority)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _shake_hands(context: ssl.SSLContext, client: socket.socket) -> None:
    client.settimeout(5)
    with client, suppress(OSError):
        context.wrap_socket(client, server_side=True).close()
