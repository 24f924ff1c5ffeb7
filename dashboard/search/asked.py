"""What the address of a History page asks for."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from django.http import QueryDict

from eventhub.events.identity import parse_id
from eventhub.query.parse import QueryError, parse
from eventhub.query.tree import Everything, Node
from eventhub.store.contract import Window

__all__ = ["WINDOWS", "Asked", "read_address"]

_MINUTE: Final = 60_000
WINDOWS: Final = {
    "15m": ("15 min", 15 * _MINUTE),
    "1h": ("1 h", 60 * _MINUTE),
    "24h": ("24 h", 24 * 60 * _MINUTE),
    "7d": ("7 d", 7 * 24 * 60 * _MINUTE),
}
"""URL value -> its words and length in milliseconds."""
_DEFAULT: Final = "24h"


class Asked(msgspec.Struct, frozen=True):
    text: str
    tree: Node
    window: Window
    chosen: str
    """A key of WINDOWS, or `range`."""
    now: int
    """What `now` in the query means, in milliseconds: the same on each page of one search."""
    before: bytes | None = None
    error: QueryError | None = None
    window_error: str = ""

    @property
    def fixed(self) -> dict[str, str]:
        """Address parameters that mean the same span later, when "the last hour" is another."""
        return {
            "q": self.text,
            "from": str(self.window.start),
            "to": str(self.window.end),
            "now": str(self.now),
        }

    def with_window(self, value: str) -> str:
        return urlencode({"q": self.text, "window": value} if self.text else {"window": value})

    def error_parts(self) -> tuple[str, str, str]:
        """The query before the character that the error is about, that character, and the rest."""
        assert self.error is not None
        at = self.error.position
        return self.text[:at], self.text[at : at + 1], self.text[at + 1 :]


def read_address(parameters: QueryDict, now: int) -> Asked:
    """Never raises: what cannot be read is told in `error` and `window_error`."""
    text = parameters.get("q", "").strip()
    asked_at = parameters.get("now", "")
    if asked_at.isascii() and asked_at.isdigit():
        now = min(int(asked_at[:16]), now)
    tree, error = _parse(text)
    window, chosen, window_error = _window(parameters, now)
    return Asked(
        text=text,
        tree=tree,
        window=window,
        chosen=chosen,
        now=now,
        before=_cursor(parameters.get("before", "")),
        error=error,
        window_error=window_error,
    )


def _parse(text: str) -> tuple[Node, QueryError | None]:
    try:
        return parse(text), None
    except QueryError as error:
        return Everything(), error


def _window(parameters: QueryDict, now: int) -> tuple[Window, str, str]:
    # An event observed in this millisecond belongs to a window that ends now.
    end = now + 1
    if not parameters.get("from") and not parameters.get("to"):
        chosen = parameters.get("window", _DEFAULT)
        chosen = chosen if chosen in WINDOWS else _DEFAULT
        return Window(end - WINDOWS[chosen][1], end), chosen, ""
    fallback = Window(end - WINDOWS[_DEFAULT][1], end)
    try:
        stop = _time(parameters.get("to", "")) or end
        start = _time(parameters.get("from", "")) or stop - WINDOWS[_DEFAULT][1]
    except ValueError:
        return fallback, "range", "A time reads like 2025-11-12T14:00. Shown are the last 24 hours."
    if start >= stop:
        return fallback, "range", "The range ends before it begins. Shown are the last 24 hours."
    return Window(start, stop), "range", ""


def _time(text: str) -> int | None:
    """Milliseconds, or an ISO date and time; UTC where it names no zone."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(int(text[:16]), (1 << 48) - 1)
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(moment.timestamp() * 1000))


def _cursor(text: str) -> bytes | None:
    try:
        return parse_id(text) if text else None
    except ValueError:
        return None
