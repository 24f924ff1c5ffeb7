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
    SLOWS_THE_BROKER = "slows the broker"
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
    """`tap`, `log`, `browse`, `consume`, or the broker's own word for a way that only it has."""
    safety: ReadSafety
    completeness: Completeness
    starts: tuple[StartFrom, ...]
    effect: str
    """What it does to the broker, one or two sentences for the form."""
    blind_spot: str
    """What it cannot see, one sentence."""
    settles: bool = False
    """Whether a message can come again, until it is settled or for as long as it waits: then its
    identity is stored with the event. Not so where the checkpoint says all, as of a log, and
    where the broker keeps nothing."""


class DeadLetterAccess(msgspec.Struct, frozen=True):
    """What the broker allows with a dead-letter queue."""

    peeks: bool
    """Whether they can be read without taking them: `DeadLetters.peek`."""
    claims: bool
    """Whether they can be taken and removed one by one: `DeadLetters.claim`, `remove`."""
    note: str
    """What a person should know of it, one or two sentences."""


class Capabilities(msgspec.Struct, frozen=True):
    modes: tuple[Mode, ...]
    """The first is the default, and harmless where the broker has a harmless way."""
    publishes_to: str
    """What the target of a publish names: "exchange", "channel"…"""
    dead_letters: DeadLetterAccess | None = None
    """How dead letters can be held; None where the broker knows none."""

    def mode(self, name: str | None) -> Mode:
        """The mode of that name; the default where there is none."""
        return next((mode for mode in self.modes if mode.name == name), self.modes[0])


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
    share: int = 0
    """Which of its `shares` parts this consumer is to observe, and to tell the gaps of."""
    shares: int = 1
    """Above 1 only where `BrokerConfig.shares` is. Then `checkpoint` holds the parts of all, those
    of the others as they were when this collector began."""


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
    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        """Publish all, many in flight, and wait for the broker's word on each.

        The outcomes are in the order of the messages. Raises NotConnected or PermanentFailure
        where nothing was sent; once something was, what is not known is `Unknown`.
        """

    def close(self) -> None: ...


class Link(msgspec.Struct, frozen=True):
    """Where a broker sends on what arrives at a destination, or who reads it there."""

    to: str
    """Name of another destination, or of a consumer group."""
    kind: str
    """The broker's own word: "binding", "subscription", "redrive", "consumer group"…"""
    detail: str = ""
    """A binding's key, a rule's filter, how often until dead-lettered; one line."""


class Destination(msgspec.Struct, frozen=True):
    """Something found on the broker, observable or not."""

    name: str
    kind: str
    """The broker's own word: "topic exchange", "channel"…"""
    detail: str = ""
    """What tells it apart: bindings, subscribers; one line."""
    observable: bool = True
    """Whether a source of some mode can be told to observe it by this name."""
    dead_letters: bool = False
    """Whether the broker's own settings, or a convention of names, make it a dead-letter queue."""
    links: tuple[Link, ...] = ()


class Depth(msgspec.Struct, frozen=True):
    """How a destination stood when it was asked. None: the broker does not tell."""

    destination: str
    waiting: int | None = None
    """Messages that wait; behind a group's offset where `group` is set (its lag)."""
    in_flight: int | None = None
    """Messages handed to a consumer and not yet acknowledged."""
    consumers: int | None = None
    in_rate: float | None = None
    """Messages a second that arrive, as the broker itself counts."""
    out_rate: float | None = None
    oldest_age: int | None = None
    """Milliseconds since the oldest waiting message arrived."""
    group: str | None = None
    """The consumer group or subscription that this is the view of."""
    partition: int | None = None
    dead_letters: bool = False
    """Whether what waits here are dead letters."""


class Depths(msgspec.Struct, frozen=True):
    """One look at a broker."""

    samples: list[Depth]
    left_out: int = 0
    """Samples beyond the limit, or that could not be had; never silently zero."""


class DepthProbe(Protocol):
    """Looks again and again; keeps its connection."""

    def sample(self, limit: int) -> Depths:
        """At most `limit` samples, the deepest first where it must choose. A few calls, whatever
        the number of destinations, where the broker lists them. Raises BrokerError."""

    def close(self) -> None: ...


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that its broker or consumer gave up on."""

    delivery: Delivery
    """As it lies in the dead-letter queue; `delivery.destination` names that queue."""
    origin: str | None = None
    """Target to publish to so that it gets where it died; None where nothing tells."""
    reason: str | None = None
    """The broker's word: "rejected", "expired", "maxlen", "MaxDeliveryCountExceeded"…"""
    attempts: int | None = None
    """How often it was delivered, or died, before."""
    died_at: int | None = None
    exception: str | None = None
    """Class of the consumer's exception."""
    exception_message: str | None = None
    stack_trace: str | None = None
    token: object = None
    """The adapter's own handle for `remove` and `release`."""


class DeadLetters(Protocol):
    """Reads and empties dead-letter queues. Nothing is removed but by `remove`."""

    def peek(self, queue: str, limit: int, after: str | None = None) -> list[DeadLetter]:
        """The oldest letters, or those after the position `after`; none is taken, no delivery
        count is raised. Raises PermanentFailure where `DeadLetterAccess.peeks` is false."""

    def claim(self, queue: str, limit: int, max_wait: float) -> list[DeadLetter]:
        """Take letters: others do not see them until they are removed or released. Returns empty
        after `max_wait` seconds without one. Raises PermanentFailure where it cannot claim."""

    def remove(self, letters: Sequence[DeadLetter]) -> list[Outcome]:
        """Remove claimed letters for good; `Confirmed` once the broker has said so."""

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """Give claimed letters back to the queue."""

    def close(self) -> None:
        """Leave the broker; never raises. What is claimed and not removed goes back."""


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

    def depth(self, config: C) -> DepthProbe: ...

    def dead_letters(self, config: C) -> DeadLetters:
        """Raises PermanentFailure where `Capabilities.dead_letters` is None."""

    def discover(self, config: C) -> list[Destination]:
        """The destinations there, those that can be observed first, at most 1,000."""

    def check_connection(self, config: C) -> Iterator[Step]:
        """Steps as they finish; the first failed one is the last. Never raises; 5 s at most."""

    def remove_traces(self, config: C, observation: Observation) -> None:
        """Remove from the broker what observing added to it (a tap queue)."""
