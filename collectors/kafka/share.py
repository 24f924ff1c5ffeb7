"""Which partitions are whose, where several processes share a source."""

from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from collectors.kafka.offsets import Partition

__all__ = ["Share"]


class Share(NamedTuple):
    """One of `shares` parts of a source: the partitions of a topic go round, and another topic
    begins at another share, so that topics of one partition spread too."""

    number: int = 0
    shares: int = 1

    def has(self, partition: Partition) -> bool:
        topic, number = partition
        return (_first(topic) + number) % self.shares == self.number


@lru_cache(maxsize=4096)
def _first(topic: str) -> int:
    """The same for all processes and for ever: Python's own hash of a text is not."""
    return crc32(topic.encode())
