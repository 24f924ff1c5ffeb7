"""A collector to be killed: settles ten deliveries, receives ten more, and waits for its end.

python -m tests.contracts.victim KIND CONFIGURATION INSTALLATION
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.registry import adapter

__all__ = ["SETTLED", "UNSETTLED", "Victim", "victim"]

SETTLED: Final = 10
UNSETTLED: Final = 10
_OPEN: Final = "open"


class Victim:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def received(self) -> tuple[list[bytes], dict[str, str]]:
        """What it has received and not settled, and the checkpoint that the store would have of
        what it settled; waits until it has all."""
        payloads, checkpoint = json.loads(self._line())
        return [payload.encode() for payload in payloads], checkpoint

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def victim(kind: str, config: BrokerConfig, installation: str) -> Iterator[Victim]:
    """One that observes, in a process of its own."""
    plain, secret_values = config.split()
    told = json.dumps({**plain, **secret_values})
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, kind, told, installation],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    made = Victim(process)
    try:
        assert made._line() == _OPEN
        yield made
    finally:
        made.kill()


def _live(kind: str, config: str, installation: str) -> None:
    from tests.contracts.broker import collect, observation, receive_batch

    found = adapter(kind)
    consumer = found.consumer(
        found.config.model_validate_json(config), observation(installation=installation)
    )
    consumer.open()
    print(_OPEN, flush=True)
    settled = receive_batch(consumer, SETTLED)
    consumer.settle(settled)
    unsettled = collect(consumer, UNSETTLED, settle=False)
    told = [each.payload.decode() for each in unsettled], settled.checkpoint
    print(json.dumps(told), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _live(*sys.argv[1:])
