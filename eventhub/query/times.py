"""Times as people write them in a query.

`2026-01-01`, `2026-01-01T10:00`, `2026-01-01 10:00:00.5+02:00`, `now`, `now-1h`, `now-1d+30m`,
and milliseconds since 1970 (12 to 15 digits). Without a zone they are UTC.
"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

__all__ = ["Span", "is_time", "parse_time"]


class Span(NamedTuple):
    """The milliseconds that a written time covers: `2026-01-01` is the whole day.

    `>` means after `last`, `>=` from `first`, `<` before `first`, `<=` up to `last`.
    """

    first: int
    last: int


_RELATIVE: Final = re.compile(r"now((?:[+-][0-9]{1,12}[smhdw])*)")
_STEP: Final = re.compile(r"([+-][0-9]+)([smhdw])")
_MILLISECONDS: Final = {
    "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
}  # fmt: skip
_EPOCH_MILLISECONDS: Final = re.compile(r"-?[0-9]{12,15}")
_ISO: Final = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?)?)?",
    re.IGNORECASE,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FARTHEST: Final = 2**62


def parse_time(text: str, now: int) -> Span | None:
    """The span that `text` names, `now` being in milliseconds; None where it is no time.

    Never beyond 2**62 either way, so that every store can hold it.
    """
    if relative := _RELATIVE.fullmatch(text):
        steps = _STEP.findall(relative[1])
        moment = now + sum(int(count) * _MILLISECONDS[unit] for count, unit in steps)
        moment = min(max(moment, -_FARTHEST), _FARTHEST)
        return Span(moment, moment)
    if _EPOCH_MILLISECONDS.fullmatch(text):
        return Span(int(text), int(text))
    return _parse_iso(text)


def is_time(text: str) -> bool:
    return parse_time(text, 0) is not None


def _parse_iso(text: str) -> Span | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (
        int(match[name]) if match[name] else least
        for name, least in (
            ("year", 1), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0),
        )
    )  # fmt: skip
    try:
        zone = _zone(match["zone"])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    first = (moment - _EPOCH) // _MILLISECOND
    if match["fraction"]:
        first += int(match["fraction"].ljust(3, "0")[:3])
        precision = 10 ** max(0, 3 - len(match["fraction"]))
        return Span(first, first + precision - 1)
    return Span(first, first + _length(match, year, month) - 1)


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _length(match: re.Match[str], year: int, month: int) -> int:
    """How many milliseconds the written precision covers."""
    if match["second"]:
        return 1000
    if match["minute"]:
        return 60_000
    if match["day"]:
        return 86_400_000
    if match["month"]:
        return monthrange(year, month)[1] * 86_400_000
    return (366 if monthrange(year, 2)[1] == 29 else 365) * 86_400_000
