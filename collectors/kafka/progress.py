"""How far each partition is read: the checkpoint that is stored with the events.

Its parts, each moved by one share alone: `topic/0` → the next offset, and after a blank the topic's
id, so that a topic that was deleted and made again is not taken for the old one; `/topics`, or
`/topics/1/3` for share 1 of 3 → the names and patterns chosen then, so that a topic that appeared
later (read from its beginning) is told from one that was chosen later (read from where the source
starts). EventHub before shares wrote a topic's id apart, as `topic` → id.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from collectors.kafka.offsets import Partition
from collectors.kafka.share import Share
from collectors.kafka.topics import Chosen, Topic

__all__ = ["Progress"]

_CHOSEN: Final = "/topics"


class Progress:
    """`changes` holds what differs from the stored checkpoint."""

    def __init__(self, checkpoint: Mapping[str, str], texts: list[str], share: Share) -> None:
        self._places: dict[Partition, tuple[int, str]] = {}
        """Next offset, and the id of the topic that it is one of."""
        for part, value in checkpoint.items():
            topic, slash, number = part.rpartition("/")
            if topic and slash and not topic.startswith("/"):
                offset, _, topic_id = value.partition(" ")
                place = int(offset), topic_id or checkpoint.get(topic, "")
                self._places[topic, int(number)] = place
        self._before = dict(_chosen_before(checkpoint))
        self._read_before: dict[str, list[Partition]] = {}
        for partition in self._places:
            self._read_before.setdefault(partition[0], []).append(partition)
        self.changes: dict[str, str] = {}
        note, chosen = _note(share), json.dumps(texts)
        if checkpoint.get(note) != chosen:
            self.changes[note] = chosen

    def is_later(self, partition: Partition) -> bool:
        """Whether what is not read of it yet appeared after it, or its pattern, was chosen: by the
        share that had it then, of however many there were."""
        topic = partition[0]
        return any(
            chosen.among([topic]) or any(map(share.has, self._read_before.get(topic, ())))
            for share, chosen in self._before.items()
            if share.has(partition)
        )

    def replaced(self, topic: Topic, partitions: list[Partition]) -> list[Partition]:
        """Those of them that were read when another topic had the name; they begin anew now."""
        found = [
            each
            for each in partitions
            if each in self._places and self._places[each][1] not in ("", topic.id)
        ]
        for partition in found:
            del self._places[partition]
        return found

    def offset(self, partition: Partition) -> int | None:
        place = self._places.get(partition)
        return None if place is None else place[0]

    def begin(self, partition: Partition, offset: int, topic_id: str) -> None:
        self._places[partition] = offset, topic_id
        self.changes[f"{partition[0]}/{partition[1]}"] = f"{offset} {topic_id}"

    def move(self, partition: Partition, offset: int) -> None:
        """Go on in a partition. One whose topic was made again has yet to begin: what still comes
        of the old topic says nothing of it."""
        if partition in self._places:
            self.begin(partition, offset, self._places[partition][1])

    def take_changes(self) -> dict[str, str]:
        changes, self.changes = self.changes, {}
        return changes


def _note(share: Share) -> str:
    return _CHOSEN if share.shares == 1 else f"{_CHOSEN}/{share.number}/{share.shares}"


def _chosen_before(checkpoint: Mapping[str, str]) -> Iterator[tuple[Share, Chosen]]:
    for part, value in checkpoint.items():
        if part == _CHOSEN or part.startswith(f"{_CHOSEN}/"):
            numbers = part.split("/")[2:]
            yield Share(*map(int, numbers)), Chosen(json.loads(value))
