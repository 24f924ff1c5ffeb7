"""Stands at the address that a listener advertises, and passes on to the proxy of a test.

Kafka's clients leave the address they are given for the one that the broker advertises, so a proxy
must be what is advertised; the port of a test's proxy is known only when the broker runs already.
"""

import contextlib
import socket
import threading

__all__ = ["Relay"]


class Relay:
    """Passes on from `port` to whatever port of 127.0.0.1 was last set as `target`."""

    def __init__(self, port: int) -> None:
        self.target = 0
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A shutdown wakes the accepting thread, a close alone does not.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                onward = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for pair in ((client, onward), (onward, client)):
                threading.Thread(target=_pass, args=pair, daemon=True).start()


def _pass(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            to.sendall(data)
    for each in (source, to):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
