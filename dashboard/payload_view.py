"""A payload as a tree, as text or as hex: never more of it than a page can carry."""

from typing import Final

import msgspec
from django.http import QueryDict

from eventhub.events.event import Event
from eventhub.events.json_lines import JsonLine, json_lines
from eventhub.events.payload import HexRow, PayloadKind, hex_rows, payload_text

__all__ = ["PayloadView", "payload_view"]

TREE_BYTES: Final = 256 * 1024
TREE_LINES: Final = 2000
TEXT_BYTES: Final = 64 * 1024
HEX_ROWS: Final = 256
_VIEWS: Final = {"tree": "Tree", "text": "Text", "hex": "Hex"}
_FIRST: Final = {"json": "tree", "text": "text", "binary": "hex"}


class TreeLine(msgspec.Struct, frozen=True):
    line: JsonLine
    indent: str
    comma: bool

    @property
    def opens(self) -> bool:
        return self.line.text in ("{", "[")


class PayloadView(msgspec.Struct, frozen=True):
    """The payload as one of its views; never more of it than a page can carry."""

    view: str
    views: list[tuple[str, str]]
    """(URL value, words) of the views that this payload has."""
    tree: list[TreeLine] = []
    text: str = ""
    hex: list[HexRow] = []
    cut: str = ""
    """In words what is shown, if that is not all; empty if it is."""
    note: str = ""
    earlier: int | None = None
    """Offset of the hex page before this one, and `later` of the one after."""
    later: int | None = None


def payload_view(event: Event, kind: PayloadKind, parameters: QueryDict) -> PayloadView:
    """`view` and `offset` (of a hex page, in bytes) are read from the address."""
    names = ["tree", "text", "hex"] if kind == "json" else ["text", "hex"]
    chosen = parameters.get("view", "")
    view = chosen if chosen in names else _FIRST[kind]
    views = [(name, _VIEWS[name]) for name in names]
    if view == "tree":
        return _tree(event.payload, views)
    if view == "text":
        text = payload_text(event.payload, TEXT_BYTES)
        cut = "the first 64 KiB" if len(event.payload) > TEXT_BYTES else ""
        note = "Bytes that are not UTF-8 are shown as �." if kind == "binary" else ""
        return PayloadView(view, views, text=text, cut=cut, note=note)
    return _hex(event.payload, views, parameters.get("offset", "0"))


def _tree(payload: bytes, views: list[tuple[str, str]]) -> PayloadView:
    found = json_lines(payload_text(payload, TREE_BYTES), max_lines=TREE_LINES)
    lines = found.lines
    shown = [
        TreeLine(line, "  " * line.depth, comma=_has_comma(line, after))
        for line, after in zip(lines, [*lines[1:], None], strict=True)
    ]
    cut, note = "", ""
    if not found.complete:
        if found.cut and len(payload) <= TREE_BYTES:
            note = "The JSON ends here, before it is complete."
        elif found.error_at is not None:
            note = "From here on it is no JSON: the text shows the rest."
        else:
            cut = f"the first {len(lines)} lines"
    return PayloadView("tree", views, tree=shown, cut=cut, note=note)


def _has_comma(line: JsonLine, after: JsonLine | None) -> bool:
    return after is not None and line.text not in ("{", "[") and after.kind != "end"


def _hex(payload: bytes, views: list[tuple[str, str]], offset: str) -> PayloadView:
    page = HEX_ROWS * 16
    start = int(offset[:10]) if offset.isascii() and offset.isdigit() else 0
    start = min(start - start % page, max(len(payload) - 1, 0) // page * page)
    end = min(start + page, len(payload))
    return PayloadView(
        "hex",
        views,
        hex=hex_rows(payload, start, HEX_ROWS),
        cut=f"bytes {start} to {end}" if len(payload) > page else "",
        earlier=start - page if start else None,
        later=end if end < len(payload) else None,
    )
