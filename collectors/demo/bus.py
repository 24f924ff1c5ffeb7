"""What the city needs of a broker."""

from typing import NamedTuple, Protocol

from collectors.demo.messages import Message
from collectors.demo.scenario import Scenario, Service

__all__ = ["Bus", "BusAway", "Letter", "OpenBus"]


class BusAway(Exception):
    """The broker is away: close this bus, wait, and open another."""


class Letter(NamedTuple):
    """A message that a service received."""

    message: Message
    handle: int = 0
    """The broker's own word for it."""


class Bus(Protocol):
    """One client's connection. Every method but `close` raises BusAway."""

    def publish(self, message: Message) -> None: ...

    def receive(self, seconds: float) -> list[Letter]:
        """What has come for the service; waits so long for a first one."""

    def done(self, letter: Letter) -> None: ...

    def bury(self, letter: Letter, reason: str, attempts: int) -> None:
        """Put it where dead letters are."""

    def close(self) -> None: ...


class OpenBus(Protocol):
    def __call__(self, scenario: Scenario, service: Service | None) -> Bus:
        """Connect; with a service, listen for it. Raises BusAway."""
