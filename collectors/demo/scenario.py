"""What a scenario consists of."""

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from collectors.demo.messages import Message

__all__ = ["Failed", "Producer", "Scenario", "Service"]


class Failed(Exception):
    """A service cannot handle this message, and could not if it tried again."""


class Producer(NamedTuple):
    name: str
    messages: Callable[[Random], Iterator[Message]]
    """Says the same, in the same order, for the same seed; only the times in it differ."""
    share: float
    """Of all the events of the city, with what its messages set off."""
    events_each: float = 1.0
    """How many events one of its messages comes to, with what it sets off."""


class Service(NamedTuple):
    name: str
    listens_to: tuple[str, ...]
    """Channels, without wildcards."""
    handle: Callable[[Message, Random], list[Message]]
    """What it says to a message. The same message brings the same answer. Raises Failed."""
    seconds: float
    """How long it usually takes."""
    trouble: float = 0.0
    """How often an attempt fails although nothing is wrong with the message."""
    trouble_reason: str = ""


class Scenario(NamedTuple):
    name: str
    """Also where its channels begin: `shop.orders`."""
    producers: tuple[Producer, ...]
    services: tuple[Service, ...]
    also: tuple[str, ...] = ()
    """Other first words of its channels."""

    @property
    def families(self) -> tuple[str, ...]:
        """First words of all its channels."""
        return (self.name, *self.also)
