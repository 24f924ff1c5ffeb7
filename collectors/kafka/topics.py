"""Which topics there are, and which of them are chosen."""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from fnmatch import translate
from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from collectors.kafka.connection import Admin
from collectors.kafka.offsets import Partition
from collectors.kafka.problems import explain, forbidden
from eventhub.brokers.errors import NotConnected

__all__ = ["Chosen", "Topic", "describe", "look", "matcher"]

CALL_SECONDS: Final = 5.0
_WILD: Final = re.compile(r"[*?\[]")


class Topic(msgspec.Struct, frozen=True):
    name: str
    id: str
    """Made anew when a topic of that name is; the same text always on brokers before 2.8."""
    partitions: tuple[int, ...]
    readable: bool = True
    """Whether this user may read it."""

    def parts(self) -> list[Partition]:
        return [(self.name, number) for number in self.partitions]


class Chosen:
    """The topics that names and patterns mean."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.names = [text for text in texts if not _WILD.search(text)]
        self.patterns = [text for text in texts if _WILD.search(text)]
        self._matches = matcher(texts)

    def among(self, names: Iterable[str]) -> list[str]:
        """Kafka's own topics (`__consumer_offsets`) only where they are named in full."""
        return sorted(
            name
            for name in set(names)
            if name in self.names or (not name.startswith("__") and self._matches(name))
        )


def matcher(texts: Sequence[str]) -> "_Matches":
    """Whether a name is one of these, or matches one of these patterns."""
    return _Matches(re.compile("|".join(translate(text) for text in texts) or r"(?!)"))


class _Matches(msgspec.Struct, frozen=True):
    pattern: re.Pattern[str]

    def __call__(self, name: str) -> bool:
        return self.pattern.match(name) is not None


def describe(
    admin: Admin,
    names: Sequence[str],
    *,
    operations: bool = False,
    seconds: float = CALL_SECONDS,
) -> tuple[dict[str, Topic], list[str]]:
    """Those of the topics that exist, and the names that this user may not even see.

    Raises BrokerError. One call, whatever their number.
    """
    if not names:
        return {}, []
    asked = admin.client.describe_topics(
        TopicCollection(list(names)),
        request_timeout=seconds,
        include_authorized_operations=operations,
    )
    found: dict[str, Topic] = {}
    hidden: list[str] = []
    for name, future in asked.items():
        try:
            told = future.result(seconds + 1)
        except KafkaException as error:
            code: KafkaError = error.args[0]
            if forbidden(code):
                hidden.append(name)
            elif code.code() not in (
                KafkaError.UNKNOWN_TOPIC_OR_PART,
                KafkaError.TOPIC_EXCEPTION,  # no topic can have this name
                KafkaError.LEADER_NOT_AVAILABLE,  # it is being made
            ):
                raise explain(code, admin.config) from error
        except FutureTimeout as error:
            raise NotConnected(f"{admin.config.address()} does not answer.") from error
        else:
            may = {operation.name for operation in told.authorized_operations or ()}
            found[name] = Topic(
                name,
                str(told.topic_id),
                tuple(sorted(partition.id for partition in told.partitions)),
                not operations or "READ" in may,
            )
    return found, hidden


def look(admin: Admin, chosen: Chosen) -> tuple[dict[str, Topic], list[str]]:
    """Those of the chosen topics, as `describe`. Two calls at most. Raises BrokerError."""
    names = list(chosen.names)
    if chosen.patterns:
        names = chosen.among([*names, *admin.cluster(CALL_SECONDS).topics])
    return describe(admin, names)
