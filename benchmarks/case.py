"""What each module of a broker that keeps messages has to say, as `BROKER`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

__all__ = ["Broker", "Case", "Place"]

Place = dict[str, Any]
"""The facts of a running server that its case needs; they travel to another process as JSON."""


class Case(NamedTuple):
    config: dict[str, Any]
    """Of an EventHub source that reads what `fill` leaves."""
    start: str
    fill: Callable[[bytes, int, Callable[[], None]], None]
    """(payload, count, observe): leave so many messages both for the source and for the plain
    client. `observe` opens and closes the source: what a tap is to get, it must be there for."""
    receive_raw: Callable[[int], float]
    """Messages a second that the plain client receives of so many."""


class Broker(NamedTuple):
    running: Callable[[], AbstractContextManager[Any]]
    place: Callable[[Any], Place]
    """Of the server that `running` made."""
    case: Callable[[Place, str], Case]
    """(place, a name that nothing has yet)"""
    share: float
    """Events of a run relative to RabbitMQ's: fast brokers would be over before they are
    measured, and slow ones would take minutes."""
