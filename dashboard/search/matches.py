"""Marking in a text what a query found there."""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from eventhub.query.tree import And, Like, Match, Node, Or, Words

__all__ = ["Parts", "mark", "mark_pattern"]

Parts: TypeAlias = "list[tuple[str, bool]]"
"""A text in pieces, each with whether it is a match."""

_MOST_TERMS: Final = 20


def mark_pattern(tree: Node) -> re.Pattern[str] | None:
    """What to mark in payloads; None when the query asks nothing of them.

    Only pieces without repetition inside repetition: a long payload cannot slow it down.
    """
    terms = list(dict.fromkeys(_terms(tree)))[:_MOST_TERMS]
    return re.compile("|".join(terms), re.IGNORECASE) if terms else None


def mark(text: str, pattern: re.Pattern[str] | None) -> Parts:
    if pattern is None:
        return [(text, False)]
    parts: Parts = []
    end = 0
    for match in pattern.finditer(text):
        if match.start() == match.end():
            continue
        if end < match.start():
            parts.append((text[end : match.start()], False))
        parts.append((match[0], True))
        end = match.end()
    if end < len(text) or not parts:
        parts.append((text[end:], False))
    return parts


def _terms(tree: Node) -> Iterator[str]:
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _terms(part)
        case Words(text, phrase):
            yield from _word_terms(text, phrase)
        case Match(field, value) if field[0] == "payload" and value:
            yield re.escape(value)
        case Like(field, parts) if field[0] == "payload":
            yield from (re.escape(part) for part in parts if part)


def _word_terms(text: str, phrase: bool) -> Iterator[str]:
    if "*" in text and not phrase:
        yield from (re.escape(piece) for piece in re.split(r"[^\w]+", text) if piece)
        return
    words = re.findall(r"\w+", text)
    yield r"\W{1,20}".join(map(re.escape, words)) if words else re.escape(text)
