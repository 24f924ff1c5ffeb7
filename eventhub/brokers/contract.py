"""What an adapter does for EventHub. All of it is synchronous: a collector is a process.

Times are whole milliseconds since 1970. `NotConnected` and `PermanentFailure` are the only
errors an adapter raises; reconnecting, backoff and rate limits are the caller's.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import ClassVar, Generic, Protocol, TypeVar

import msgspec

from eventhub.brokers.config import BrokerConfig
from eventhub.events.headers import Header


class ReadSafety(StrEnum):
    """What an observation mode does to the broker."""

    HARMLESS = "harmless"
    ADDS_A_BOUNDED_QUEUE = "adds a bounded queue"
    TAKES_MESSAGES = "takes messages"


class Completeness(StrEnum):
    COMPLETE = "complete"
    SAMPLED = "sampled"


class StartFrom(StrEnum):
    """Where the history of a source begins."""

    NOW = "now"
    EARLIEST = "earliest"
    TIME = "time"


class Mode(msgspec.Struct, frozen=True):
    """One way of observing, declared before anything connects."""

    name: str
    """`tap`, `log`, `browse` or `consume`."""
    safety: ReadSafety
    completeness: Completeness
    starts: tuple[StartFrom, ...]
    effect: str
    """What it does to the broker, one or two sentences for the form."""
    blind_spot: str
    """What it cannot see, one sentence."""


class Capabilities(msgspec.Struct, frozen=True):
    modes: tuple[Mode, ...]
    settles: bool
    """Whether the broker keeps a message until `settle`; if not, a stop loses what comes."""
    publishes_to: str
    """What the target of a publish names: "exchange", "channel"…"""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as the adapter received it. Texts may hold anything; storing mends them."""

    destination: str
    payload: bytes
    key: str | bytes | None = None
    type: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    headers: Sequence[Header] = ()
    position: str | None = None
    """The broker's own place of the message, unique in its destination; None where it has none."""
    redelivered: bool = False
    event_time: int | None = None
    broker_time: int | None = None


class Gap(msgspec.Struct, frozen=True):
    """A span in which the source may have missed events."""

    reason: str
    started: int
    ended: int
    missed: int | None = None
    """How many, where the broker can tell."""
    destination: str | None = None
    """None: all that the source observes."""


class Received(msgspec.Struct):
    """What one `receive` brought, to be stored as a whole and then settled as a whole."""

    deliveries: list[Delivery]
    gaps: list[Gap] = []
    checkpoint: dict[str, str] = {}
    """Where to go on after these deliveries, for sources that read a log: part -> position."""
    token: object = None
    """The adapter's own handle for settling."""


class Observation(msgspec.Struct, frozen=True):
    """What a consumer is told besides its configuration."""

    source_id: int
    name: str
    """Unique in this installation; names the tap queue on the broker."""
    installation: str
    """Random text made once an installation, so that two EventHubs never share a queue."""
    start: StartFrom = StartFrom.NOW
    start_time: int | None = None
    checkpoint: dict[str, str] = {}
    last_seen: int | None = None
    """When this source last was connected, None if never: what came since may be a gap."""


class Consumer(Protocol):
    def open(self) -> None:
        """Connect and begin to observe. A missed span since `last_seen` comes as a gap."""

    def receive(self, max_messages: int, max_wait: float) -> Received:
        """Up to `max_messages` deliveries; returns empty after `max_wait` seconds without one."""

    def settle(self, received: Received) -> None:
        """The store has committed these: the broker may forget them. Returns once it has heard."""

    def keep_alive(self) -> None:
        """Serve heartbeats while the store is away, without receiving more."""

    def close(self) -> None:
        """Leave the broker; never raises. What is not settled will be delivered again."""


class Confirmed(msgspec.Struct, frozen=True):
    detail: str = ""


class Refused(msgspec.Struct, frozen=True):
    reason: str


class Unknown(msgspec.Struct, frozen=True):
    reason: str


Outcome = Confirmed | Refused | Unknown


class Message(msgspec.Struct, frozen=True):
    """A message to publish. Fields that the broker lacks are left out by its adapter."""

    payload: bytes
    key: str | bytes | None = None
    type: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    headers: Sequence[Header] = ()


class Publisher(Protocol):
    def publish(self, message: Message, target: str) -> Outcome:
        """Publish and wait for the broker's word."""

    def close(self) -> None: ...


class Destination(msgspec.Struct, frozen=True):
    """Something found on the broker that a source can observe."""

    name: str
    kind: str
    """The broker's own word: "topic exchange", "channel"…"""
    detail: str = ""
    """What tells it apart: bindings, subscribers; one line."""


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Step(msgspec.Struct, frozen=True):
    """One step of a connection test: resolve, connect, authenticate, permissions."""

    name: str
    verdict: Verdict
    words: str
    way_out: str = ""
    milliseconds: int = 0


C = TypeVar("C", bound=BrokerConfig, contravariant=True)


class Adapter(Protocol, Generic[C]):
    """A broker kind. Stateless: every call gets the configuration it works with."""

    kind: ClassVar[str]
    title: ClassVar[str]
    config: ClassVar[type[BrokerConfig]]
    capabilities: ClassVar[Capabilities]

    def consumer(self, config: C, observation: Observation) -> Consumer: ...

    def publisher(self, config: C) -> Publisher: ...

    def discover(self, config: C) -> list[Destination]:
        """The destinations there, those that can be observed first, at most 1,000."""

    def check_connection(self, config: C) -> Iterator[Step]:
        """Steps as they finish; the first failed one is the last. Never raises; 5 s at most."""

    def remove_traces(self, config: C, observation: Observation) -> None:
        """Remove from the broker what observing added to it (a tap queue)."""
