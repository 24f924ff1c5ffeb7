"""JSON as indented lines for a page: as it was written, whatever a parser would make of it.

Works on the text and not on parsed values: a repeated key, 1e400, a number of 100 digits and
10,000 brackets are all shown as they are. Python's and msgspec's readers lose the first two or
overflow on the last; an event-based reader (ijson) changes how numbers are written.
"""

import json
import re
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

__all__ = ["JsonLine", "JsonLines", "json_lines"]

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*+(?:
        (?P<mark>[{}\[\]:,])
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+")
      | (?P<number>-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)(?![\w.])
      | (?P<literal>(?:true|false|null|NaN|-?Infinity)\b)
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_CUT_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*+(?:
        "(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+(?:\\(?:u[0-9a-fA-F]{0,3})?)?
      | -?[0-9]*+(?:\.[0-9]*+)?(?:[eE][+-]?)?
      | t(?:ru?)? | f(?:a(?:ls?)?)? | n(?:ul?)?
      | Na? | -?I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?
    )\Z""",
    re.VERBOSE,
)
_SPACES: Final = re.compile(r"[ \t\r\n]++")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_EMPTY: Final = {"{": re.compile(r"[ \t\r\n]*+\}"), "[": re.compile(r"[ \t\r\n]*+\]")}
_SKIPPED: Final = re.compile(r'"(?:[^"\\]|\\[\s\S])*+"?|[{}\[\]]')
_CLOSING: Final = {"{": "}", "[": "]"}
_MAX_TOKENS: Final = 200_000
_MAX_TEXT: Final = 10_000
_MAX_VALUE: Final = 200


class JsonLine(msgspec.Struct, frozen=True):
    """One line: a scalar, the beginning of an object or list, or its end."""

    depth: int
    kind: str
    """`object`, `list`, `end`, `string`, `number`, `literal`, or `folded` where the value is
    nested too deeply to be shown."""
    text: str
    """The value as written, at most 10,000 characters; `{`, `{}`, `[`, `[]`, `}`, `]`, `…`."""
    key: str | None = None
    """The key before it, as written but without quotes; None in a list and at the top."""
    repeated: bool = False
    """The same key came before in this object."""
    path: tuple[str, ...] | None = ()
    """The keys that lead to it, unescaped; lists add nothing. What a query names after
    `payload`; None where a query cannot name it."""
    value: str | None = None
    """A scalar for a query, unescaped; None where it is none or too long to be one."""


class JsonLines(msgspec.Struct, frozen=True):
    lines: list[JsonLine]
    complete: bool
    """Whether the lines are all of it."""
    error_at: int | None = None
    """Index of the character where it stops being JSON."""
    cut: bool = False
    """The text ends before the JSON does."""


def json_lines(text: str, *, max_lines: int = 5000, max_depth: int = 100) -> JsonLines:
    """The lines of a JSON text: bounded in number, depth and work, never raises."""
    return _Scanner(text, max_lines, max_depth).run()


class _Open(msgspec.Struct):
    """An object or list that has begun."""

    mark: str
    path: tuple[str, ...] | None
    keys: set[str]
    members: int = 0


class _Stop(Exception):
    def __init__(self, error_at: int | None = None, *, cut: bool = False) -> None:
        self.error_at = error_at
        self.cut = cut


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Scanner:
    def __init__(self, text: str, max_lines: int, max_depth: int) -> None:
        self._text = text
        self._max_lines = max_lines
        self._max_depth = max_depth
        self._place = 0
        self._tokens = 0
        self._lines: list[JsonLine] = []
        self._open: list[_Open] = []

    def run(self) -> JsonLines:
        try:
            self._value(self._take(), JsonLine(0, "", ""))
            while self._open:
                self._member(self._open[-1])
            token = self._take()
            if token.kind != "end":
                raise _Stop(token.start)
        except _Stop as stop:
            return JsonLines(self._lines, False, stop.error_at, stop.cut)
        return JsonLines(self._lines, True)

    def _member(self, parent: _Open) -> None:
        """Read one member of an object or list, or its end."""
        token = self._take()
        if parent.members:
            if token.text == _CLOSING[parent.mark]:
                self._open.pop()
                self._emit(JsonLine(len(self._open), "end", token.text))
                return
            self._require(token, ",")
            token = self._take()
        parent.members += 1
        if parent.mark == "[":
            self._value(token, JsonLine(len(self._open), "", "", path=parent.path))
            return
        if token.kind != "string":
            raise _unexpected(token)
        self._require(self._take(), ":")
        name = _unescape(token.text)
        line = JsonLine(
            len(self._open),
            "",
            "",
            key=_shorten(token.text[1:-1]),
            repeated=name in parent.keys,
            path=_longer(parent.path, name),
        )
        parent.keys.add(name)
        self._value(self._take(), line)

    def _value(self, token: _Token, line: JsonLine) -> None:
        """Emit `line` with the value that `token` begins."""
        if token.text in ("{", "["):
            self._begin(token.text, line)
        elif token.kind in ("string", "number", "literal"):
            text = _unescape(token.text) if token.kind == "string" else token.text
            value = text if line.path is not None and _can_be_asked(text) else None
            self._emit(replace(line, kind=token.kind, text=_shorten(token.text), value=value))
        else:
            raise _unexpected(token)

    def _begin(self, mark: str, line: JsonLine) -> None:
        kind = "object" if mark == "{" else "list"
        if empty := _EMPTY[mark].match(self._text, self._place):
            self._place = empty.end()
            self._emit(replace(line, kind=kind, text=mark + _CLOSING[mark]))
        elif len(self._open) >= self._max_depth:
            self._emit(replace(line, kind="folded", text="…"))
            self._skip()
        else:
            self._emit(replace(line, kind=kind, text=mark))
            self._open.append(_Open(mark, line.path, set()))

    def _skip(self) -> None:
        """Go behind the object or list that has just begun, counting brackets."""
        depth = 1
        for match in _SKIPPED.finditer(self._text, self._place):
            self._count()
            mark = match[0]
            if mark in ("{", "["):
                depth += 1
            elif mark in ("}", "]"):
                depth -= 1
            if depth == 0:
                self._place = match.end()
                return
        raise _Stop(cut=True)

    def _take(self) -> _Token:
        self._count()
        match = _TOKEN.match(self._text, self._place)
        if match is None:
            if _CUT_TOKEN.match(self._text, self._place):
                raise _Stop(cut=True)
            spaces = _SPACES.match(self._text, self._place)
            raise _Stop(spaces.end() if spaces else self._place)
        self._place = match.end()
        kind = match.lastgroup or "end"
        return _Token(kind, match[kind], match.start(kind))

    def _require(self, token: _Token, mark: str) -> None:
        if token.text != mark:
            raise _unexpected(token)

    def _emit(self, line: JsonLine) -> None:
        if len(self._lines) >= self._max_lines:
            raise _Stop
        self._lines.append(line)

    def _count(self) -> None:
        self._tokens += 1
        if self._tokens > _MAX_TOKENS:
            raise _Stop


def _unexpected(token: _Token) -> _Stop:
    return _Stop(cut=True) if token.kind == "end" else _Stop(token.start)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _unescape(token: str) -> str:
    text: str = json.loads(token)
    return text


def _longer(path: tuple[str, ...] | None, name: str) -> tuple[str, ...] | None:
    return (*path, name) if path is not None and _can_be_asked(name) else None


def _can_be_asked(text: str) -> bool:
    """Whether a query can hold it: it is short, without NUL and lone surrogates."""
    return len(text) <= _MAX_VALUE and "\0" not in text and not _SURROGATE.search(text)
