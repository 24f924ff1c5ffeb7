"""Text to syntax tree."""

from pathlib import Path
from typing import Final

from lark import Lark, Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from eventhub.query.errors import QueryError
from eventhub.query.tree import Node
from eventhub.query.tree_builder import TreeBuilder

__all__ = ["MAX_BYTES", "MAX_DEPTH", "QueryError", "parse"]

MAX_BYTES: Final = 8192
MAX_DEPTH: Final = 50
"""Parentheses and NOTs inside each other."""

_LARK: Final = Lark(
    (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8"),
    parser="lalr",
    transformer=TreeBuilder(),
)
_LEAVES: Final = ("WORD", "URL", "VALUE", "QUOTED")
_OPENERS: Final = ("_LPAR", "LSQB", "LBRACE")
_CLOSED_BY: Final = {"_LPAR": ")", "LSQB": "]", "LBRACE": "]"}
_IN_WORDS: Final = {
    "WORD": "a word", "QUOTED": "a quoted text", "FIELD": "a field", "VALUE": "a value",
    "_LPAR": "“(”", "_RPAR": "“)”", "LSQB": "“[”", "LBRACE": "“{”", "RSQB": "“]”", "RBRACE": "“}”",
    "_AND": "AND", "_OR": "OR", "_NOT": "NOT", "_TO": "TO", "_MINUS": "“-”",
    "OPERATOR": "a comparison", "$END": "the end",
}  # fmt: skip


def parse(text: str) -> Node:
    """The syntax tree of a query; the empty query is `Everything`.

    Adjacent terms mean AND, which binds more than OR. Safe to call from many threads. Raises
    QueryError for text that is no query, that is longer than MAX_BYTES as UTF-8, or whose
    parentheses and NOTs are nested deeper than MAX_DEPTH.
    """
    _check_characters(text)
    interactive = _LARK.parse_interactive(text)
    nesting = _Nesting()
    try:
        for token in interactive.iter_parse():
            nesting.enter(token)
        tree: Node = interactive.feed_eof(nesting.previous)  # type: ignore[no-untyped-call]
    except UnexpectedInput as error:
        raise _explain(error, text, nesting) from None
    return tree


def _check_characters(text: str) -> None:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise QueryError(f"A query can have {MAX_BYTES} bytes at most.", min(len(text), MAX_BYTES))
    for position, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise QueryError("This character cannot be part of a query.", position)


class _Nesting:
    """Watches the tokens as they come: how deep they nest, and that terms do not touch."""

    def __init__(self) -> None:
        self.previous: Token | None = None
        self.open: list[Token] = []
        self._negations = [0]

    def enter(self, token: Token) -> None:
        self._refuse_touching(token)
        if token.type in _OPENERS:
            self.open.append(token)
            self._negations.append(0)
        elif token.type in ("_RPAR", "RSQB", "RBRACE"):
            if self.open:
                self.open.pop()
                self._negations.pop()
            self._negations[-1] = 0
        elif token.type in ("_NOT", "_MINUS"):
            self._negations[-1] += 1
        elif token.type in _LEAVES:
            self._negations[-1] = 0
        if len(self.open) + sum(self._negations) > MAX_DEPTH:
            raise QueryError(
                f"Parentheses and NOTs can be nested {MAX_DEPTH} deep at most.", _start(token)
            )
        self.previous = token

    def _refuse_touching(self, token: Token) -> None:
        before = self.previous
        if (
            before is not None
            and before.type in _LEAVES
            and token.type in (*_LEAVES, *_OPENERS, "FIELD")
            and before.end_pos == token.start_pos
        ):
            raise QueryError(
                f"Put a space before “{token[0]}”, or put the whole text in quotes.",
                _start(token),
            )


def _explain(error: UnexpectedInput, text: str, nesting: _Nesting) -> QueryError:
    if isinstance(error, UnexpectedToken):
        position = len(text) if error.token.type == "$END" else _start(error.token)
        names = error.expected
    else:
        assert isinstance(error, UnexpectedCharacters)
        position, names = error.pos_in_stream or 0, error.allowed
    expected = tuple(words for name, words in _IN_WORDS.items() if name in names)
    if position == len(text):
        return _explain_end(expected, position, nesting)
    if text[position] == ")" and not nesting.open:
        return QueryError("This “)” closes nothing.", position, expected)
    return QueryError(_complaint(text, position, expected), position, expected)


def _explain_end(expected: tuple[str, ...], position: int, nesting: _Nesting) -> QueryError:
    if nesting.open:
        opener = nesting.open[-1]
        closer = _CLOSED_BY[opener.type]
        if f"“{closer}”" in expected:
            return QueryError(
                f"This “{opener}” is never closed: “{closer}” is missing.",
                _start(opener),
                (f"“{closer}”",),
            )
    return QueryError(
        f"The query ends too early: {_any_of(expected)} is missing.", position, expected
    )


def _complaint(text: str, position: int, expected: tuple[str, ...]) -> str:
    character = text[position]
    if character == '"':
        return "This quote is never closed."
    if character == "\\":
        return "A backslash needs the character after it that it stands before."
    if character == ":":
        return "Before “:” goes a field's name; to search for “:” itself, quote the text."
    if character in "()":
        return f"“{character}” is not expected here: {_any_of(expected)} is."
    if character in "[]{}<>":
        return f"“{character}” has a meaning of its own: quote the text that holds it."
    if character == "-":
        return "After “-” goes, without a space, what to leave out."
    word = text[position:].split(maxsplit=1)[0][:40]
    return f"“{word}” is not expected here: {_any_of(expected)} is."


def _any_of(expected: tuple[str, ...]) -> str:
    if "a value" in expected:
        return "a value"
    if "a word" in expected:
        return "something to search for"
    return " or ".join(expected)


def _start(token: Token) -> int:
    return token.start_pos or 0
