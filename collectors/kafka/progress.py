"""How far each partition is read: the checkpoint that is stored with the events.

Its parts: `topic/0` → the next offset; `topic` → the topic's id, so that a topic that was deleted
and made again is not taken for the old one; `/topics` → the names and patterns chosen then, so that
a topic that appeared later (read from its beginning) is told from one that was chosen later (read
from where the source starts).
"""

import json
from collections.abc import Mapping
from typing import Final

from collectors.kafka.offsets import Partition
from collectors.kafka.topics import Chosen, Topic

__all__ = ["Progress"]

_CHOSEN: Final = "/topics"


class Progress:
    """`changes` holds what differs from the stored checkpoint."""

    def __init__(self, checkpoint: Mapping[str, str], texts: list[str]) -> None:
        self._offsets: dict[Partition, int] = {}
        self._ids: dict[str, str] = {}
        self._before = _chosen_before(checkpoint)
        for part, value in checkpoint.items():
            topic, slash, number = part.rpartition("/")
            if topic and slash:
                self._offsets[topic, int(number)] = int(value)
            elif not slash:
                self._ids[part] = value
        self.changes: dict[str, str] = {}
        chosen = json.dumps(texts)
        if checkpoint.get(_CHOSEN) != chosen:
            self.changes[_CHOSEN] = chosen

    def is_later(self, topic: str) -> bool:
        """Whether what is not read of it yet appeared after it, or its pattern, was chosen."""
        chosen_before = self._before is not None and self._before.among([topic]) == [topic]
        return topic in self._ids or chosen_before

    def was_replaced(self, topic: Topic) -> bool:
        return self._ids.get(topic.name, topic.id) != topic.id

    def offset(self, partition: Partition) -> int | None:
        return self._offsets.get(partition)

    def begin(self, topic: Topic) -> None:
        """From now on `topic` is this one, of which nothing is read."""
        for partition in [each for each in self._offsets if each[0] == topic.name]:
            del self._offsets[partition]
        self.note(topic)

    def note(self, topic: Topic) -> None:
        if self._ids.get(topic.name) != topic.id:
            self._ids[topic.name] = self.changes[topic.name] = topic.id

    def move(self, partition: Partition, offset: int) -> None:
        self._offsets[partition] = offset
        self.changes[f"{partition[0]}/{partition[1]}"] = str(offset)

    def take_changes(self) -> dict[str, str]:
        changes, self.changes = self.changes, {}
        return changes


def _chosen_before(checkpoint: Mapping[str, str]) -> Chosen | None:
    texts = checkpoint.get(_CHOSEN)
    return None if texts is None else Chosen(json.loads(texts))
