"""The fields that a query can name."""

import difflib
from enum import Enum
from typing import Final

__all__ = ["COLUMNS", "FIELDS", "STATES", "Kind", "field_name", "suggestion"]


class Kind(Enum):
    """What a field's values are, and so how they compare."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    ID = "id"
    TREE = "tree"
    """A document with fields of its own: `payload.amount`, `headers.tenant`."""


FIELDS: Final = {
    "type": Kind.TEXT,
    "source": Kind.TEXT,
    "destination": Kind.TEXT,
    "key": Kind.TEXT,
    "correlation": Kind.TEXT,
    "message_id": Kind.TEXT,
    "content_type": Kind.TEXT,
    "content_encoding": Kind.TEXT,
    "position": Kind.TEXT,
    "time": Kind.TIME,
    "event_time": Kind.TIME,
    "broker_time": Kind.TIME,
    "size": Kind.NUMBER,
    "id": Kind.ID,
    "payload": Kind.TREE,
    "headers": Kind.TREE,
}
"""Every field by its one spelling. `time` is the observed time, `size` the payload's, in bytes."""

COLUMNS: Final = {
    "type": "type",
    "destination": "destination",
    "key": "key",
    "correlation": "correlation_id",
    "message_id": "message_id",
    "content_type": "content_type",
    "content_encoding": "content_encoding",
    "position": "position",
    "event_time": "event_time",
    "broker_time": "broker_time",
    "size": "payload_size",
}
"""The fields that are one attribute of `Event`, and which."""

STATES: Final = ("redelivered", "truncated", "binary")
"""What `is:` can ask."""

_ALIASES: Final = {"correlation_id": "correlation"}


def field_name(written: str) -> str | None:
    """The one spelling of a field as a person wrote it (`message-id`); None for an unknown one."""
    name = written.replace("-", "_")
    name = _ALIASES.get(name, name)
    return name if name in FIELDS else None


def suggestion(written: str) -> str:
    """The field that a person may have meant by an unknown one."""
    names = [*FIELDS, *_ALIASES, "is", "exists"]
    close = difflib.get_close_matches(written.lower().replace("-", "_")[:40], names, 1, 0.7)
    return close[0] if close else f"payload.{written}"
