"""A TCP proxy of the tests' own that can fail as networks do: cut, freeze, and lose answers."""

import contextlib
import socket
import threading
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """Passes on from `port` to `target`, both on 127.0.0.1, while it is entered."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._frozen = threading.Event()
        self._answers_lost = threading.Event()
        self._ended = False
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        # A shutdown wakes the accepting thread, a close alone does not.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every connection at once, as when a cable is pulled and the router tells."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """From now on nothing passes either way, and nobody is told: a half-open connection."""
        self._frozen.set()

    def cut_answers(self) -> None:
        """What the client sends arrives; with the first answer the connections end instead."""
        self._answers_lost.set()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._server.accept()
                broker = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += [client, broker]
            threading.Thread(target=self._pass, args=(client, broker), daemon=True).start()
            threading.Thread(
                target=self._pass, args=(broker, client), kwargs={"answers": True}, daemon=True
            ).start()

    def _pass(self, source: socket.socket, to: socket.socket, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self._frozen.is_set():
                    continue
                if answers and self._answers_lost.is_set():
                    self.cut()
                    break
                to.sendall(data)
        for each in (source, to):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
