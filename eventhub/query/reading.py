"""What a predicate reads of one event, each part decoded at most once."""

import json
import re
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final

import msgspec

from eventhub.events.event import Event

__all__ = ["MISSING", "Reading"]

MISSING: Final = object()
"""The document of a payload that is binary or empty."""

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_ESCAPE: Final = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _exact(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits


_decoder: Final = msgspec.json.Decoder(float_hook=_exact)


class Reading:
    """One event while a predicate judges it."""

    def __init__(self, event: Event) -> None:
        self.event = event

    @cached_property
    def document(self) -> Any:
        """The payload's JSON value, its text where it is no JSON, MISSING where it is neither."""
        payload = self.event.payload
        try:
            return _decoder.decode(payload)
        except RecursionError:
            return MISSING
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _decode_leniently(payload)

    @cached_property
    def headers(self) -> list[tuple[str, Any]]:
        return list(self.event.header_list)

    @cached_property
    def folded(self) -> list[str]:
        """The payload's text for words, case-folded; with a second one, its JSON escapes undone,
        where it has backslashes (`caf\\u00e9`, and a newline before a word)."""
        text = self.event.payload.decode("utf-8", "replace")
        if "\\" not in text:
            return [text.casefold()]
        return [text.casefold(), _undo_escapes(text).casefold()]


def _decode_leniently(payload: bytes) -> Any:
    """What Python's own reader takes besides: NaN, lone surrogates, integers of any length."""
    try:
        text = payload.removeprefix(_UTF8_BOM).decode()
    except UnicodeDecodeError:
        return MISSING
    try:
        return json.loads(text, parse_int=_exact, parse_float=_exact, parse_constant=str)
    except RecursionError:
        return MISSING
    except ValueError:
        return text or MISSING


def _undo_escapes(text: str) -> str:
    text = _ESCAPE.sub(
        lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2]),
        text,
    )
    if text.isascii():
        return text
    # JSON writes a character beyond U+FFFF as two surrogates.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
