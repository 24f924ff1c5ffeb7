"""Queues, topics with their subscriptions, and what is written down so that a crash keeps it."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tests.brokers.azure_service_bus.peer.filters import Rule, matches
from tests.brokers.azure_service_bus.peer.queues import DEAD_LETTERS, Entry, Queue, Settings
from tests.brokers.azure_service_bus.peer.sections import Parts, group_id, parts

__all__ = ["Namespace", "SessionNeeded", "Subscription", "Topic", "now"]


def now() -> int:
    return time.time_ns() // 1_000_000


class SessionNeeded(Exception):
    """A message without a session id, for a queue that requires sessions."""


@dataclass
class Subscription:
    queue: Queue
    rules: dict[str, Rule] = field(default_factory=dict)
    last_read: int = field(default_factory=now)


@dataclass
class Topic:
    name: str
    subscriptions: dict[str, Subscription] = field(default_factory=dict)


class Namespace:
    """Names are compared without case, as Service Bus does. Not safe for threads: lock it."""

    def __init__(self, journal: Path) -> None:
        self.queues: dict[str, Queue] = {}
        self.topics: dict[str, Topic] = {}
        self._journal: BinaryIO | None = None
        if journal.exists():
            self._replay(journal.read_bytes())
        self._journal = journal.open("ab", buffering=0)

    # Entities

    def create_queue(self, name: str, settings: Settings) -> Queue:
        self._write("queue", name, asdict(settings))
        self.queues[name.lower()] = made = self._queue(name, settings)
        return made

    def create_topic(self, name: str) -> Topic:
        self._write("topic", name)
        self.topics[name.lower()] = made = Topic(name)
        return made

    def create_subscription(self, topic: str, name: str, settings: Settings) -> Subscription:
        self._write("subscription", topic, name, asdict(settings))
        found = self.topics[topic.lower()]
        path = f"{found.name}/Subscriptions/{name}"
        made = Subscription(self._queue(path, settings), {"$Default": Rule()})
        found.subscriptions[name.lower()] = made
        return made

    def set_rule(self, topic: str, subscription: str, name: str, rule: Rule | None) -> None:
        """None removes it."""
        self._write("rule", topic, subscription, name, None if rule is None else asdict(rule))
        rules = self.topics[topic.lower()].subscriptions[subscription.lower()].rules
        if rule is None:
            del rules[name]
        else:
            rules[name] = rule

    def delete(self, *names: str) -> bool:
        """A queue, a topic, or a topic's subscription."""
        lower = [name.lower() for name in names]
        if len(lower) == 2:
            owner: dict[str, Any] = self.topics[lower[0]].subscriptions
        else:
            owner = self.queues if lower[0] in self.queues else self.topics
        if lower[-1] not in owner:
            return False
        self._write("delete", *names)
        del owner[lower[-1]]
        return True

    def find(self, path: str) -> Queue | None:
        """What can be received from: a queue, a subscription, or a dead-letter queue of one."""
        base, _, tail = path.lower().partition("/$")
        topic, _, subscription = base.partition("/subscriptions/")
        if subscription:
            owner = self.topics.get(topic)
            found = owner.subscriptions.get(subscription) if owner else None
            queue = found.queue if found else None
        else:
            queue = self.queues.get(base)
        return queue.dead if queue is not None and tail else queue

    def every_queue(self) -> Iterator[Queue]:
        yield from self.queues.values()
        for topic in self.topics.values():
            yield from (each.queue for each in topic.subscriptions.values())

    # Messages

    def send(self, target: str, raw: bytes) -> list[Queue]:
        """Where the message went. Raises KeyError for no such entity, OverflowError when full,
        and SessionNeeded."""
        moment = now()
        message = parts(raw)
        queue = self.queues.get(target.lower())
        if queue is not None:
            reached = [queue]
            if queue.settings.requires_session and group_id(message.bare) is None:
                raise SessionNeeded(queue.path)
        else:
            reached = [
                each.queue
                for each in self.topics[target.lower()].subscriptions.values()
                if matches(list(each.rules.values()), message.bare)
            ]
        for each in reached:
            if each.size + len(message.bare) > each.settings.max_bytes:
                raise OverflowError(each.path)
        for each in reached:
            if each.settings.requires_session and group_id(message.bare) is None:
                each.bury(message, moment, "Session id is null.", "The entity requires sessions.")
            else:
                each.put(message, moment)
        return reached

    def tick(self) -> None:
        moment = now()
        for queue in self.every_queue():
            queue.tick(moment)
            if queue.dead is not None:
                queue.dead.tick(moment)

    # The journal

    def _queue(self, path: str, settings: Settings) -> Queue:
        made = Queue(path, settings, self._told)
        made.dead = Queue(f"{path}/{DEAD_LETTERS}", Settings(settings.lock_seconds), self._told)
        return made

    def _told(self, queue: Queue, what: str, entry: Entry) -> None:
        if what == "put":
            kept = (entry.parts, entry.enqueued, entry.state)
            self._write("put", queue.path, entry.sequence, kept)
        else:
            self._write(what, queue.path, entry.sequence, entry.delivery_count, entry.state)

    def _write(self, *record: Any) -> None:
        if self._journal is not None:
            encoded = msgspec.msgpack.encode(record)
            self._journal.write(len(encoded).to_bytes(4, "big") + encoded)

    def _replay(self, journal: bytes) -> None:
        at = 0
        while at + 4 <= len(journal):
            end = at + 4 + int.from_bytes(journal[at : at + 4], "big")
            if end > len(journal):
                return  # it died while it wrote this: nobody has heard of it
            self._redo(*msgspec.msgpack.decode(journal[at + 4 : end]))
            at = end

    def _redo(self, what: str, *rest: Any) -> None:
        match what:
            case "queue":
                self.create_queue(rest[0], Settings(**rest[1]))
            case "topic":
                self.create_topic(rest[0])
            case "subscription":
                self.create_subscription(rest[0], rest[1], Settings(**rest[2]))
            case "rule":
                topic, subscription, name, rule = rest
                made = None if rule is None else Rule(**rule)
                self.set_rule(topic, subscription, name, made)
            case "delete":
                self.delete(*rest)
            case _:
                self._redo_message(what, *rest)

    def _redo_message(self, what: str, path: str, sequence: int, *rest: Any) -> None:
        queue = self.find(path)
        if queue is None:
            return
        if what == "put":
            fields, enqueued, state = rest[0]
            queue.restore(Entry(sequence, Parts(*fields), enqueued, state=state))
        elif what == "gone":
            entry = queue.entries.pop(sequence)
            queue.size -= len(entry.parts.bare)
        else:
            entry = queue.entries[sequence]
            entry.delivery_count, entry.state = rest
