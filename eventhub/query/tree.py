"""The syntax tree of a query. Every value is what the person wrote, unquoted and unescaped.

Fields are paths whose first part is one of `eventhub.query.fields.FIELDS`, in its one spelling
(`message-id` is written `("message_id",)`).
"""

from typing import TypeAlias

import msgspec

__all__ = [
    "And", "Compare", "Everything", "Exists", "Is", "Like", "Match", "Node", "Not", "Or", "Range",
    "Words",
]  # fmt: skip


class Everything(msgspec.Struct, frozen=True):
    """The empty query, or `*`."""


class And(msgspec.Struct, frozen=True):
    parts: tuple["Node", ...]


class Or(msgspec.Struct, frozen=True):
    parts: tuple["Node", ...]


class Not(msgspec.Struct, frozen=True):
    part: "Node"


class Words(msgspec.Struct, frozen=True):
    """A free word or a quoted phrase: these words in this order, case-insensitively."""

    text: str
    phrase: bool = False
    """Quoted: `*` is an ordinary character. If not, it stands for any characters of a word."""


class Match(msgspec.Struct, frozen=True):
    """`field:value` and `field:"value"`: exactly this value; a `*` in it is a star."""

    field: tuple[str, ...]
    """`("type",)`, `("payload", "items", "sku")`, `("headers", "tenant")`."""
    value: str


class Like(msgspec.Struct, frozen=True):
    """`field:or*ers.*`: a value with wildcards, each of which stands for any characters."""

    field: tuple[str, ...]
    parts: tuple[str, ...]
    """The texts around the wildcards, two or more: `orders.*` is `("orders.", "")`."""


class Compare(msgspec.Struct, frozen=True):
    """`field:>value`; the operator is one of `>`, `>=`, `<`, `<=`."""

    field: tuple[str, ...]
    operator: str
    value: str


class Range(msgspec.Struct, frozen=True):
    """`field:[low TO high]`; braces exclude an end; None is an open end (`*`)."""

    field: tuple[str, ...]
    low: str | None
    high: str | None
    includes_low: bool = True
    includes_high: bool = True


class Exists(msgspec.Struct, frozen=True):
    """`exists:payload.amount` or `field:*`."""

    field: tuple[str, ...]


class Is(msgspec.Struct, frozen=True):
    """`is:redelivered`, `is:truncated`, `is:binary`."""

    state: str


Node: TypeAlias = Everything | And | Or | Not | Words | Match | Like | Compare | Range | Exists | Is
