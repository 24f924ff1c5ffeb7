"""A broker in this process: a log with positions. For tests, and the reference of the contract."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import ClassVar, Literal

import msgspec
from pydantic import Field

from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Capabilities,
    Completeness,
    Confirmed,
    DeadLetters,
    Delivery,
    Depth,
    Depths,
    Destination,
    Gap,
    Message,
    Mode,
    Observation,
    Outcome,
    ReadSafety,
    Received,
    Refused,
    StartFrom,
    Step,
    Verdict,
)
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Memory", "MemoryBroker", "MemoryConfig"]


class MemoryConfig(BrokerConfig):
    broker: str = Field(title="Broker", description="Name of a broker in this process.")
    destinations: list[str] = Field(
        default=[], title="Destinations", description="Which to observe; empty means all."
    )
    positions: bool = Field(
        default=True,
        title="Positions",
        description="Whether deliveries tell their position, as a log's do; a queue's do not.",
    )
    mode: Literal["log"] = Field(default="log", title="Mode", description="Reads the log.")

    def address(self) -> str:
        return f"memory:{self.broker}"


class _Kept(msgspec.Struct, frozen=True):
    time: int
    message: Message


class _Log:
    """Messages of one destination; the position of the first one kept is `first`."""

    def __init__(self) -> None:
        self.first = 0
        self.kept: list[_Kept] = []

    @property
    def end(self) -> int:
        return self.first + len(self.kept)

    def position_at(self, start: StartFrom, start_time: int | None) -> int:
        if start is StartFrom.NOW:
            return self.end
        if start is StartFrom.EARLIEST:
            return self.first
        later = (n for n, kept in enumerate(self.kept) if kept.time >= (start_time or 0))
        return self.first + next(later, len(self.kept))


class MemoryBroker:
    """Keeps logs, and what each group (an installation's source) has received and settled."""

    def __init__(self) -> None:
        self.running = True
        self.starts = 0
        self.changed = threading.Condition()
        self.logs: dict[str, _Log] = {}
        self.settled: dict[str, dict[str, int]] = {}
        self.received: dict[str, dict[str, int]] = {}

    def create(self, destination: str) -> None:
        with self.changed:
            self.logs.setdefault(destination, _Log())

    def append(self, destination: str, *messages: Message) -> None:
        """Raises KeyError for a destination that was not created."""
        now = _now()
        with self.changed:
            self.logs[destination].kept.extend(_Kept(now, message) for message in messages)
            self.changed.notify_all()

    def truncate(self, destination: str, keep: int) -> None:
        """Forget all but the last `keep` messages."""
        with self.changed:
            log = self.logs[destination]
            dropped = max(len(log.kept) - keep, 0)
            log.first += dropped
            del log.kept[:dropped]

    def stop(self) -> None:
        """Drop every consumer and publisher; what was appended and settled is kept."""
        with self.changed:
            self.running = False
            self.changed.notify_all()

    def start(self) -> None:
        self.running = True
        self.starts += 1


class _Consumer:
    def __init__(self, config: MemoryConfig, observation: Observation) -> None:
        self._config = config
        self._observation = observation
        self._group = f"{observation.installation}.{observation.name}"
        self._positions: dict[str, int] = {}
        self._open = False

    def open(self) -> None:
        self._broker = _reach(self._config)
        self._starts = self._broker.starts
        with self._broker.changed:
            settled = self._broker.settled.setdefault(self._group, {})
            self._broker.received.setdefault(self._group, {})
            seen = self._observation.checkpoint
            for name, log in self._observed():
                start = log.position_at(self._observation.start, self._observation.start_time)
                self._positions[name] = int(seen.get(name, settled.get(name, start)))
                settled.setdefault(name, self._positions[name])
        self._open = True

    def receive(self, max_messages: int, max_wait: float) -> Received:
        deadline = time.monotonic() + max_wait
        with self._broker.changed:
            while True:
                self._check()
                gaps = self._truncated()
                deliveries = self._take(max_messages)
                remaining = deadline - time.monotonic()
                if gaps or deliveries or remaining <= 0:
                    break
                self._broker.changed.wait(remaining)
            ends = dict(self._positions)
        checkpoint = {name: str(end) for name, end in ends.items()}
        return Received(deliveries, gaps, checkpoint if self._config.positions else {}, token=ends)

    def settle(self, received: Received) -> None:
        assert isinstance(received.token, dict)
        with self._broker.changed:
            self._check()
            self._broker.settled[self._group].update(received.token)

    def keep_alive(self) -> None:
        self._check()

    def close(self) -> None:
        self._open = False

    def _check(self) -> None:
        if not (self._open and self._broker.running and self._starts == self._broker.starts):
            raise NotConnected("The in-memory broker has stopped.")

    def _observed(self) -> list[tuple[str, _Log]]:
        chosen = self._config.destinations
        return [
            (name, log) for name, log in self._broker.logs.items() if not chosen or name in chosen
        ]

    def _truncated(self) -> list[Gap]:
        gaps = []
        for name, log in self._observed():
            # A destination that appeared after `open` is read from its beginning.
            missed = log.first - self._positions.setdefault(name, 0)
            if missed > 0:
                self._positions[name] = log.first
                now = _now()
                started = self._observation.last_seen or now
                gaps.append(Gap("the log was truncated", started, now, missed, name))
        return gaps

    def _take(self, max_messages: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        received = self._broker.received[self._group]
        for name, log in self._observed():
            start = self._positions[name]
            end = min(log.end, start + max_messages - len(deliveries))
            known = received.get(name, 0)
            for position in range(start, end):
                kept = log.kept[position - log.first]
                deliveries.append(self._delivery(name, position, kept, position < known))
            self._positions[name] = end
            received[name] = max(known, end)
        return deliveries

    def _delivery(self, name: str, position: int, kept: _Kept, redelivered: bool) -> Delivery:
        return Delivery(
            destination=name,
            position=str(position) if self._config.positions else None,
            redelivered=redelivered,
            broker_time=kept.time,
            **msgspec.structs.asdict(kept.message),
        )


class _Publisher:
    def __init__(self, config: MemoryConfig) -> None:
        self._broker = _reach(config)

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if not self._broker.running:
            raise NotConnected("The in-memory broker has stopped.")
        try:
            self._broker.append(target, *messages)
        except KeyError:
            return [Refused(f"There is no destination {target!r}.")] * len(messages)
        return [Confirmed()] * len(messages)

    def close(self) -> None:
        """Nothing is held."""


class _DepthProbe:
    def __init__(self, config: MemoryConfig) -> None:
        self._config = config

    def sample(self, limit: int) -> Depths:
        logs = _reach(self._config).logs.items()
        samples = [Depth(name, waiting=len(log.kept)) for name, log in logs]
        return Depths(samples[:limit], max(0, len(samples) - limit))

    def close(self) -> None:
        """Nothing is held."""


class Memory:
    """The adapter. `Memory.named("x")` is the broker that a configuration with broker="x" means."""

    kind: ClassVar[str] = "memory"
    title: ClassVar[str] = "In-memory broker"
    config: ClassVar[type[BrokerConfig]] = MemoryConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(
            Mode(
                name="log",
                safety=ReadSafety.HARMLESS,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW, StartFrom.EARLIEST, StartFrom.TIME),
                effect="Reads the log and changes nothing.",
                blind_spot="Messages that were truncated before they were read; a gap says so.",
                settles=True,
            ),
        ),
        publishes_to="destination",
    )
    brokers: ClassVar[dict[str, MemoryBroker]] = {}

    @classmethod
    def named(cls, name: str) -> MemoryBroker:
        """The broker of that name, made if there is none."""
        return cls.brokers.setdefault(name, MemoryBroker())

    def consumer(self, config: MemoryConfig, observation: Observation) -> _Consumer:
        return _Consumer(config, observation)

    def publisher(self, config: MemoryConfig) -> _Publisher:
        return _Publisher(config)

    def depth(self, config: MemoryConfig) -> _DepthProbe:
        return _DepthProbe(config)

    def dead_letters(self, config: MemoryConfig) -> DeadLetters:
        raise PermanentFailure("The in-memory broker has no dead letters.")

    def discover(self, config: MemoryConfig) -> list[Destination]:
        logs = _reach(config).logs
        return [Destination(name, "log", f"{len(log.kept)} kept") for name, log in logs.items()]

    def check_connection(self, config: MemoryConfig) -> Iterator[Step]:
        if config.broker not in self.brokers:
            yield Step("resolve", Verdict.FAILED, f"There is no broker {config.broker!r} here.")
            return
        yield Step("resolve", Verdict.OK, f"{config.broker!r} is in this process.")
        if not self.brokers[config.broker].running:
            yield Step("connect", Verdict.FAILED, "The broker is stopped.")
            return
        yield Step("connect", Verdict.OK, "The broker is running.")

    def remove_traces(self, config: MemoryConfig, observation: Observation) -> None:
        group = f"{observation.installation}.{observation.name}"
        broker = _reach(config)
        for groups in (broker.settled, broker.received):
            with suppress(KeyError):
                del groups[group]


def _reach(config: MemoryConfig) -> MemoryBroker:
    broker = Memory.brokers.get(config.broker)
    if broker is None:
        raise PermanentFailure(f"There is no broker {config.broker!r} in this process.")
    if not broker.running:
        raise NotConnected("The in-memory broker has stopped.")
    return broker


def _now() -> int:
    return time.time_ns() // 1_000_000
