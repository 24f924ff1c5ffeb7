"""Consumer groups: what they committed and how many members they have. Asking changes nothing."""

from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException

from collectors.kafka.connection import Admin
from collectors.kafka.offsets import Partition
from collectors.kafka.problems import explain
from eventhub.brokers.errors import NotConnected

__all__ = ["MOST", "Group", "committed", "group_names"]

MOST: Final = 500
"""Groups looked at: the protocol has one request for many, librdkafka sends one for each."""
_AT_ONCE: Final = 50
_CALL_SECONDS: Final = 5.0


class Group(msgspec.Struct, frozen=True):
    name: str
    offsets: dict[Partition, int]
    """What it has committed: the next offset to read."""
    members: int | None
    """None where this user may not see them."""


def group_names(admin: Admin) -> list[str]:
    """Groups of the classic and the new protocol; those of Kafka Connect's workers are none that
    consume. One call a broker."""
    told = _result(admin, admin.client.list_consumer_groups(request_timeout=_CALL_SECONDS))
    return sorted(group.group_id for group in told.valid)


def committed(admin: Admin, names: Iterable[str]) -> tuple[list[Group], int]:
    """Groups with what they committed, and how many could not be asked. Raises NotConnected."""
    found: list[Group] = []
    waiting = list(names)
    failed = 0
    members = _members(admin, waiting)
    while waiting:
        turn, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        asked = {
            name: admin.client.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(name)], request_timeout=_CALL_SECONDS
            )[name]
            for name in turn
        }
        for name, future in asked.items():
            try:
                told = future.result(_CALL_SECONDS + 1)
            except KafkaException:
                failed += 1
                continue
            except FutureTimeout as error:
                raise NotConnected(f"{admin.config.address()} does not answer.") from error
            offsets = {
                (each.topic, each.partition): each.offset
                for each in told.topic_partitions
                if each.offset >= 0
            }
            found.append(Group(name, offsets, members.get(name)))
    return found, failed


def _members(admin: Admin, names: list[str]) -> dict[str, int]:
    if not names:
        return {}
    asked = admin.client.describe_consumer_groups(names, request_timeout=_CALL_SECONDS)
    members: dict[str, int] = {}
    for name, future in asked.items():
        try:
            members[name] = len(future.result(_CALL_SECONDS + 1).members)
        except (KafkaException, FutureTimeout):
            continue
    return members


def _result(admin: Admin, future: Future[Any]) -> Any:
    try:
        return future.result(_CALL_SECONDS + 1)
    except KafkaException as error:
        raise explain(error.args[0], admin.config) from error
    except FutureTimeout as error:
        raise NotConnected(f"{admin.config.address()} does not answer.") from error
