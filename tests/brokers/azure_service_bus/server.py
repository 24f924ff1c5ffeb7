"""A stand-in for Azure Service Bus as a process of its own, or what EVENTHUB_TEST_AZURE_SERVICE_BUS
names: a connection string of a real namespace or of a vendor's emulator.

No emulator that speaks AMQP 1.0 could be had as a package; `peer/__init__.py` says what ours is.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.servers.process import Process, free_port, port_answers

__all__ = ["VARIABLE", "ServiceBus", "missing", "running"]

VARIABLE = "EVENTHUB_TEST_AZURE_SERVICE_BUS"
_ROOT = Path(__file__).resolve().parents[3]


def missing() -> str | None:
    """Why there is nothing to test against; None when there is."""
    if os.environ.get(VARIABLE) or find_spec("proton") is not None:
        return None
    return "python-qpid-proton, on which the stand-in is built, is not installed"


class ServiceBus:
    """A namespace. The stand-in's keys and their rights are in `peer/tokens.py`."""

    def __init__(self, folder: Path, connection_string: str | None) -> None:
        self.is_stand_in = connection_string is None
        self.name = "a peer of our own (stand-in)"
        self.port, self.http_port = free_port(), free_port()
        self.administration_url = f"http://127.0.0.1:{self.http_port}"
        self._given = connection_string
        if connection_string is not None:
            emulated = "usedevelopmentemulator=true" in connection_string.lower()
            self.name = "Azure Service Bus emulator" if emulated else "Azure Service Bus"
            self.administration_url = ""
        command = [sys.executable, "-m", "tests.brokers.azure_service_bus.peer"]
        self._process = Process(
            [*command, str(self.port), str(self.http_port), str(folder / "journal")],
            log=folder / "log",
            ready=self._answers,
            cwd=_ROOT,
        )

    def connection_string(
        self,
        key: str = "RootManageSharedAccessKey",
        secret: str = "root-secret",
        port: int | None = None,
    ) -> str:
        if self._given is not None:
            return self._given
        return (
            f"Endpoint=sb://localhost:{port or self.port};SharedAccessKeyName={key};"
            f"SharedAccessKey={secret};UseDevelopmentEmulator=true"
        )

    def start(self) -> None:
        if self.is_stand_in:
            self._process.start()

    def stop(self) -> None:
        if self.is_stand_in:
            self._process.stop()

    def kill(self) -> None:
        """As after `kill -9`. What it confirmed is in its journal."""
        self._process.kill()

    def _answers(self) -> bool:
        try:
            urlopen(self.administration_url, timeout=1)
        except URLError as error:
            return hasattr(error, "code") and port_answers(self.port)
        return True


@contextmanager
def running() -> Iterator[ServiceBus]:
    """A namespace with its files in a temporary folder, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="eventhub-service-bus-"))
    server = ServiceBus(folder, os.environ.get(VARIABLE))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
