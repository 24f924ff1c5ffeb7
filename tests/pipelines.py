"""A pipeline between an in-memory broker and a store, both of which can fail and begin again."""

import secrets
from collections.abc import Callable

from eventhub.brokers.contract import Consumer, Gap, Message, Observation
from eventhub.brokers.memory import Memory, MemoryBroker, MemoryConfig
from eventhub.events.event import Event
from eventhub.ingestion.pipeline import BATCH, Pipeline, Settings
from eventhub.store.contract import Batch, StoreUnavailable, Written
from eventhub.store.relational.reader import RelationalReader
from eventhub.store.relational.sqlite.database import SqliteDatabase
from eventhub.store.relational.sqlite.writer import SqliteWriter

__all__ = ["SOURCE", "Setting"]

SOURCE = 7


class Store(SqliteWriter):
    """The real one, which can be made to be away."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.fails = 0
        self.commits_unheard = 0
        self.before_commit: Callable[[], object] = lambda: None

    def write(self, batch: Batch) -> Written:
        self.before_commit()
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("the disk is full")
        written = super().write(batch)
        if self.commits_unheard:
            self.commits_unheard -= 1
            raise StoreUnavailable("the connection was lost during the commit")
        return written


class Announced:
    """What pages would be told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def announce(self, events: list[Event], gaps: list[Gap]) -> None:
        self.events += events

    def flush_if_due(self) -> None: ...


class Setting:
    """A broker, a store and the pipeline between them, which can crash and begin again."""

    def __init__(self, alias: str, *, positions: bool, settles: bool = True) -> None:
        self.config = MemoryConfig(broker=secrets.token_hex(4), positions=positions)
        self.broker: MemoryBroker = Memory.named(self.config.broker)
        self.broker.create("orders")
        self.store = Store(alias)
        self.reader = RelationalReader(SqliteDatabase(alias))
        self.announced = Announced()
        self.said: list[str] = []
        self.settles = settles
        self.stopping = False
        self.on_wait: Callable[[], object] = lambda: None
        self.start()

    def start(self, limit: int = 1000) -> None:
        """As a collector's process does when it begins."""
        self.pipeline = Pipeline(
            Settings(SOURCE, limit, self.settles),
            self.store,
            self.announced,
            self.store.resume(SOURCE),
            stopping=lambda: self.stopping,
            wait=lambda seconds: self.on_wait(),
            on_store_away=self.said.append,
        )
        self.connect()

    def connect(self) -> None:
        observation = Observation(
            SOURCE,
            "shop",
            "test",
            checkpoint=self.pipeline.checkpoint,
            last_seen=self.pipeline.last_seen,
        )
        self.consumer: Consumer = Memory().consumer(self.config, observation)
        self.consumer.open()
        self.pipeline.reconnected()

    def publish(self, *payloads: bytes) -> None:
        self.broker.append("orders", *(Message(payload) for payload in payloads))

    def step(self) -> int:
        return self.pipeline.step(self.consumer)

    def stored(self) -> list[Event]:
        return self.reader.after(bytes(16), sources=[SOURCE], limit=10 * BATCH)

    def payloads(self) -> list[bytes]:
        return [event.payload for event in self.stored()]
