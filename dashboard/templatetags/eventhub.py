"""Tags and filters of every template: icons, states, times, figures.

Loaded as builtins. A time is written as UTC in `<time datetime>`; `static/js/times.js` rewrites
its text in the reader's zone and keeps UTC in the title.
"""

import re
from datetime import UTC, datetime
from typing import Final

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventhub.events.event import as_datetime

register = template.Library()

_DISTURBING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)

THIN: Final = "\u202f"
"""Narrow no-break space, between thousands."""
_UNIT: Final = "\u00a0"
"""No-break space, between a figure and its unit."""

_TONES: Final = {"plain": "hollow", "now": "half"}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A 14 px drawing from `static/icons.svg`, in the colour of the text."""
    return format_html(
        '<svg class="i" aria-hidden="true"><use href="{}#{}"/></svg>', static("icons.svg"), name
    )


@register.simple_tag
def status(tone: str, word: str, drawing: str = "") -> SafeString:
    """Icon, word and colour together: a state is never told by colour alone."""
    return format_html(
        '<span class="st {}">{}{}</span>', tone, icon(drawing or _TONES.get(tone, tone)), word
    )


@register.simple_tag
def badge(tone: str, word: str, drawing: str = "") -> SafeString:
    return format_html(
        '<span class="badge {}">{}{}</span>', tone, icon(drawing or _TONES.get(tone, tone)), word
    )


@register.simple_tag
def time(value: int | datetime | None, form: str = "ms") -> str:
    """A time in milliseconds since 1970 or an aware datetime.

    Forms: `ms` (14:02:07.318), `s` (14:02:07), `min` (14:02), each with the date before it unless
    it is today; `day` (12 Nov).
    """
    if value is None:
        return "–"
    moment = value if isinstance(value, datetime) else as_datetime(value)
    if moment is None:
        return format_html('<span class="mono">{} ms</span>', value)
    moment = moment.astimezone(UTC)
    iso = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_html(
        '<time datetime="{}" data-form="{}" title="{}">{}</time>',
        iso,
        form,
        iso.replace("T", " ").replace("Z", " UTC"),
        _utc_text(moment, form),
    )


def _utc_text(moment: datetime, form: str) -> str:
    day = f"{moment.day} {moment:%b}"
    now = datetime.now(UTC)
    if moment.year != now.year:
        day += f" {moment.year}"
    if form == "day":
        return day
    clock = {"min": f"{moment:%H:%M}", "s": f"{moment:%H:%M:%S}"}.get(
        form, f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"
    )
    return clock if moment.date() == now.date() else f"{day} {clock}"


@register.filter
def count(number: int | None) -> str:
    """1 204 with thin separators; en dash for what is not known."""
    return "–" if number is None else f"{number:,}".replace(",", THIN)


@register.filter
def short(number: int | None) -> str:
    """About how many: 940, 12 k, 318 M."""
    if number is None:
        return "–"
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if number >= limit:
            scaled = number / (1000 if unit == "k" else limit)
            return f"{scaled:.1f}{_UNIT}{unit}" if scaled < 10 else f"{scaled:.0f}{_UNIT}{unit}"
    return count(number)


@register.filter
def rate(per_second: float | None) -> str:
    """Events a second: 0.04, 3.2, 182, 4 270. Little is not nothing."""
    if per_second is None:
        return "–"
    if per_second >= 10:
        return count(round(per_second))
    if per_second == 0:
        return "0"
    return f"{per_second:.1f}" if per_second >= 0.95 else f"{max(per_second, 0.01):.2f}"


@register.filter
def size(length: int | None) -> str:
    """Bytes: 412 B, 1.2 KiB, 5 MiB."""
    if length is None:
        return "–"
    if length < 1024:
        return f"{length}{_UNIT}B"
    power = min((length.bit_length() - 1) // 10, 4)
    scaled, unit = length / 1024**power, ("KiB", "MiB", "GiB", "TiB")[power - 1]
    return f"{scaled:.0f}{_UNIT}{unit}" if scaled >= 10 else f"{scaled:.1f}{_UNIT}{unit}"


@register.filter
def span(milliseconds: int | None) -> str:
    """A length of time in its largest unit: 7 ms, 12 s, 40 min, 3 h, 2 d."""
    if milliseconds is None:
        return "–"
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds >= length * (1 if unit in ("s", "min") else 2):
            return f"{milliseconds // length}{_UNIT}{unit}"
    return f"{milliseconds}{_UNIT}ms"


@register.filter
def since(moment: datetime | None) -> str:
    """How long ago, as a span of whole seconds."""
    if moment is None:
        return "–"
    return span(max(1000, int((datetime.now(UTC) - moment).total_seconds()) * 1000))


@register.filter
def visible(text: str | None) -> str:
    """Text that cannot disturb its neighbours: what does not print, and the marks that turn the
    direction of a line (`exe.png` may be `gnp.exe`), are written as their code points."""
    return "" if text is None else _DISTURBING.sub(lambda match: f"⟨{ord(match[0]):04X}⟩", text)


@register.filter
def offset(milliseconds: int) -> str:
    """A distance in time with its sign: +17 ms, −3 h."""
    return f"{'−' if milliseconds < 0 else '+'}{span(abs(milliseconds))}"


@register.filter
def hex_offset(place: int) -> str:
    """000010a0, as hex dumps begin their rows."""
    return f"{place:08x}"


@register.filter
def pad(text: str, width: int) -> str:
    return text.ljust(width)
