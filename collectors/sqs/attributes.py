"""Message attributes as headers, and back without loss.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
A String is a text, a Number an int or a Decimal, a Binary bytes. A type that has a label of its
own ("Number.money", "String.Array"), and a Number that is not written as Python writes it ("007"),
has a second header `sqs.type.<name>`, so that the same attribute is made of it again.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from eventhub.events.headers import Header, HeaderValue

__all__ = ["MOST", "TYPE", "Unwritable", "read_attribute", "size_of", "to_attributes", "unfit"]

TYPE: Final = "sqs.type."
MOST: Final = 10
"""Attributes that a message can have."""
_NAME: Final = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_FITS: Final = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


class Unwritable(ValueError):
    """A header or payload that SQS cannot carry; says which."""


def unfit(text: str) -> int | None:
    """Where the first character is that SQS refuses; None where there is none."""
    found = _FITS.match(text)
    assert found is not None
    return None if found.end() == len(text) else found.end()


def read_attribute(name: str, label: str, value: str | bytes) -> list[Header]:
    """One attribute as one header, or two where its type must be remembered."""
    kind, _, custom = label.partition(".")
    read: HeaderValue = value
    if kind == "Number" and isinstance(value, str):
        read = _number(value)
    if custom or (kind == "Number" and isinstance(read, str)):
        return [(name, read), (TYPE + name, label)]
    return [(name, read)]


def to_attributes(headers: Iterable[Header]) -> dict[str, dict[str, Any]]:
    """The attributes that these headers stand for. Raises Unwritable, naming what cannot be."""
    pairs = list(headers)
    labels = {
        name.removeprefix(TYPE): value
        for name, value in pairs
        if name.startswith(TYPE) and isinstance(value, str)
    }
    attributes: dict[str, dict[str, Any]] = {}
    for name, value in pairs:
        if name.startswith(TYPE):
            continue
        if name in attributes:
            raise Unwritable(f"the header {name!r} is there twice")
        if len(name) > 256 or not _NAME.fullmatch(name):
            raise Unwritable(f"the header name {name!r} is none for an attribute")
        attributes[name] = _attribute(name, value, labels.get(name))
    if len(attributes) > MOST:
        raise Unwritable(f"{len(attributes)} headers are more than the {MOST} attributes allowed")
    return attributes


def size_of(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes that these attributes add to a message: names, types and values count."""
    return sum(
        len(name) + sum(len(x) if isinstance(x, bytes) else len(x.encode()) for x in each.values())
        for name, each in attributes.items()
    )


def _number(text: str) -> HeaderValue:
    """The number, if it is written again as it was; else the text."""
    try:
        number = int(text) if text.lstrip("-").isdigit() else Decimal(text)
    except (ValueError, InvalidOperation):
        return text
    return number if str(number) == text else text


def _attribute(name: str, value: HeaderValue, label: str | None) -> dict[str, Any]:
    kind = (label or "").partition(".")[0]
    if isinstance(value, bytes):
        if not value:
            raise Unwritable(f"the header {name!r} is empty")
        return {"DataType": label if kind == "Binary" else "Binary", "BinaryValue": value}
    if isinstance(value, str):
        if not value or unfit(value) is not None:
            raise Unwritable(f"the header {name!r} is empty or has characters that SQS refuses")
        return {"DataType": label if kind in ("String", "Number") else "String"} | {
            "StringValue": value
        }
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return {"DataType": label if kind == "Number" else "Number", "StringValue": str(value)}
    raise Unwritable(f"the header {name!r} is no text, number or bytes")
