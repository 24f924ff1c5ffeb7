"""Rules of subscriptions: which messages of the topic they get.

Filters: https://learn.microsoft.com/azure/service-bus-messaging/topic-filters. Of the SQL
language only `name = 'text'` and `name = number` joined by AND are understood.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from proton import Message

__all__ = ["Rule", "matches"]

_TERM = re.compile(
    r"\s*(?:(user|sys)\.)?(\w+)\s*=\s*(?:'((?:[^']|'')*)'|(-?\d+))\s*", re.IGNORECASE
)
_SYSTEM = {
    "CorrelationId": "correlation_id", "MessageId": "id", "To": "address", "ReplyTo": "reply_to",
    "Label": "subject", "SessionId": "group_id", "ContentType": "content_type",
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    kind: str = "TrueFilter"
    """TrueFilter, FalseFilter, SqlFilter or CorrelationFilter."""
    sql: str = "1=1"
    system: dict[str, str] = field(default_factory=dict)
    """Property of the broker, as `CorrelationFilter` names it, to the value that it must have."""
    properties: dict[str, str] = field(default_factory=dict)


def matches(rules: list[Rule], bare: bytes) -> bool:
    """Whether one of the rules lets the message through."""
    if any(_passes_all(rule) for rule in rules):
        return True
    if not rules:
        return False
    message = Message()
    message.decode(bare)
    return any(_match(rule, message) for rule in rules)


def _passes_all(rule: Rule) -> bool:
    plain = rule.sql.replace(" ", "")
    return rule.kind == "TrueFilter" or (rule.kind == "SqlFilter" and plain == "1=1")


def _match(rule: Rule, message: Message) -> bool:
    own: dict[str, Any] = message.properties or {}
    if rule.kind == "CorrelationFilter":
        system = all(
            getattr(message, _SYSTEM[name]) == value for name, value in rule.system.items()
        )
        return system and all(own.get(name) == value for name, value in rule.properties.items())
    if rule.kind != "SqlFilter":
        return False
    for term in re.split(r"\s+AND\s+", rule.sql, flags=re.IGNORECASE):
        found = _TERM.fullmatch(term)
        if found is None:
            raise ValueError(f"the stand-in does not understand {term!r}")
        scope, name, text, number = found.groups()
        wanted: object = int(number) if text is None else text.replace("''", "'")
        got = getattr(message, _SYSTEM[name]) if scope == "sys" else own.get(name)
        if got != wanted:
            return False
    return True
