"""How full the queues are: one call to Jolokia, whatever the number of destinations."""

import time
from typing import Final

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.estate import Place, survey
from collectors.activemq.jolokia import Jolokia, Unreadable
from eventhub.brokers.contract import Depth, Depths
from eventhub.brokers.errors import NotConnected

__all__ = ["DepthProbe"]

_Key = tuple[str, str | None]
_SHORTEST: Final = 0.5
"""Seconds between two looks below which a rate says nothing."""


class DepthProbe:
    """See `eventhub.brokers.contract.DepthProbe`. Rates are the counters' growth between looks."""

    def __init__(self, config: ActiveMQConfig) -> None:
        self._config = config
        self._jolokia = Jolokia(config)
        self._looked = 0.0
        self._before: dict[_Key, Place] = {}

    def sample(self, limit: int) -> Depths:
        try:
            places = survey(self._config, self._jolokia)
        except Unreadable as problem:
            raise NotConnected(
                f"Depths come from Jolokia at {self._config.jolokia()}. {problem}",
                way_out="Correct the Jolokia URL, and let the user read there.",
            ) from problem
        now = time.monotonic()
        seconds = now - self._looked
        samples = [self._depth(place, seconds) for place in places]
        if seconds >= _SHORTEST:
            self._before = {_key(place): place for place in places}
            self._looked = now
        samples.sort(key=lambda each: -(each.waiting or 0))
        return Depths(samples[:limit], max(0, len(samples) - limit))

    def close(self) -> None:
        """Nothing is held."""

    def _depth(self, place: Place, seconds: float) -> Depth:
        before = self._before.get(_key(place))
        return Depth(
            str(place.name),
            waiting=place.waiting,
            in_flight=place.in_flight,
            consumers=place.consumers,
            in_rate=_rate(before.arrived if before else None, place.arrived, seconds),
            out_rate=_rate(before.left if before else None, place.left, seconds),
            oldest_age=_age(place.oldest),
            group=place.group,
            dead_letters=place.dead_letters,
        )


def _key(place: Place) -> _Key:
    return str(place.name), place.group


def _rate(before: int | None, after: int | None, seconds: float) -> float | None:
    """None with the first look, and when the broker began to count anew."""
    if before is None or after is None or after < before or seconds < _SHORTEST:
        return None
    return (after - before) / seconds


def _age(oldest: int | None) -> int | None:
    """Milliseconds; by the producer's clock, so never less than none."""
    return None if oldest is None else max(0, time.time_ns() // 1_000_000 - oldest)
