"""Payloads shown: what kind, as hex, as one line, as text."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.events.json_lines import json_lines
from eventhub.events.payload import classify, hex_rows, payload_text, preview

_MEGABYTES_5 = 5_000_000
_HOSTILE = {
    "nested lists": b"[" * 10_000 + b"]" * 10_000,
    "nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "brackets without end": b"[" * _MEGABYTES_5,
    "a long list": b"[" + b"1," * (_MEGABYTES_5 // 2) + b"1]",
    "a long text": b'{"a":"' + b"x" * _MEGABYTES_5 + b'"}',
    "a long number": b"[" + b"9" * _MEGABYTES_5 + b"]",
    "many keys": b"{" + b",".join(b'"k%d":%d' % (key, key) for key in range(300_000)) + b"}",
    "spaces": b"[" + b" " * _MEGABYTES_5,
    "backslashes": b'["' + b"\\" * _MEGABYTES_5,
    "escapes without end": b'["' + b"\\u00e9" * (_MEGABYTES_5 // 6),
    "quotes behind the depth": b"[" * 101 + b'"' * _MEGABYTES_5,
    "a log line": b"[INFO] " + b"word " * (_MEGABYTES_5 // 5),
    "bytes": b"\xff" * _MEGABYTES_5,
    "NULs": b"\x00" * _MEGABYTES_5,
}


@pytest.mark.parametrize(
    ("payload", "content_type", "kind"),
    [
        (b"", None, "text"),
        (b"hello", None, "text"),
        (b"hello", "application/json", "text"),
        (b'{"a":1}', None, "json"),
        (b'  \n[1,2]', None, "json"),
        (b'\xef\xbb\xbf{"a":1}', None, "json"),
        (b"21.5", None, "text"),
        (b"21.5", "application/json", "json"),
        (b'"x"', "application/vnd.api+JSON; charset=utf-8", "json"),
        (b'{"a":NaN}', None, "json"),
        (b'{"a":1e999999,"a":2}', None, "json"),
        (b'{"a":"cut he', None, "json"),
        (b'{"a":"cut h\xc3', None, "json"),
        (b"[INFO] started", None, "text"),
        (b"[1] started", None, "text"),
        (b"{a:1}", None, "text"),
        (b'{"a":1}\n{"a":2}', None, "text"),
        (b"\xff\xfe", None, "binary"),
        (b"\xff\xfe", "application/json", "binary"),
        (b"\x08\x01\x12\x03abc", "text/plain", "binary"),
        (b"a\x00b", None, "binary"),
        (b"caf\xc3", None, "text"),
        (b"\xc3", None, "binary"),
        (b"caf\xc3 x", None, "binary"),
        (b"\x1b[31mred\x1b[0m\r\n\t", None, "text"),
        (b"[" * 10_000 + b"]" * 10_000, None, "json"),
    ],
)  # fmt: skip
def test_a_payload_has_a_kind(payload: bytes, content_type: str | None, kind: str) -> None:
    assert classify(payload, content_type) == kind


@pytest.mark.parametrize("payload", _HOSTILE.values(), ids=_HOSTILE)
def test_nothing_hostile_takes_long(payload: bytes) -> None:
    steps: list[Callable[[], object]] = [
        lambda: classify(payload),
        lambda: json_lines(payload_text(payload)),
        lambda: preview(payload),
        lambda: hex_rows(payload, 4_000_000),
    ]
    started = time.process_time()
    for step in steps:
        step()
    assert time.process_time() - started < 3


@given(st.binary(max_size=400), st.integers(2, 60))
@settings(max_examples=400, deadline=None)
def test_any_bytes_have_a_preview_of_one_printable_line(payload: bytes, length: int) -> None:
    line = preview(payload, length)
    assert len(line) <= length
    assert all(character.isprintable() or character in "\u200c\u200d" for character in line)
    assert classify(payload) in ("text", "json", "binary")


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b"", ""),
        (b"one", "one"),
        (b"{\n  \"a\": 1\n}", '{ "a": 1 }'),
        (b"x" * 20, "x" * 20),
        (b"x" * 21, "x" * 19 + "…"),
        (b" " * 5000 + b"x", "…"),
        ("a\u202eb".encode(), "a·b"),
        (b"a\x00b", "a·b"),
        ("é".encode() * 50, "é" * 19 + "…"),
        ("👩‍👧".encode(), "👩‍👧"),
    ],
)  # fmt: skip
def test_a_preview_is_one_line(payload: bytes, line: str) -> None:
    assert preview(payload, 20) == line


def test_a_preview_never_ends_in_half_a_character() -> None:
    for length in range(2, 20):
        assert "\ufffd" not in preview("注文確定".encode() * 100, length)


@given(st.binary(max_size=600), st.integers(-5, 700), st.integers(0, 10))
def test_hex_pages_hold_the_payload(payload: bytes, offset: int, rows: int) -> None:
    page = hex_rows(payload, offset, rows)
    first = max(offset, 0) // 16 * 16
    assert bytes.fromhex("".join(row.hex for row in page)) == payload[first : first + rows * 16]
    assert all(len(row.text) == (len(row.hex) + 1) // 3 for row in page)


def test_a_hex_row_has_its_place_bytes_and_text() -> None:
    (row,) = hex_rows(b"0123456789abcdefHello \x00\xff", 20)
    assert (row.offset, row.hex, row.text) == (16, "48 65 6c 6c 6f 20 00 ff", "Hello ··")


def test_text_shows_what_has_no_picture_of_its_own() -> None:
    assert payload_text(b"a\x00b\tc\r\nd\x7f\xff") == "a␀b\tc\r\nd␡\ufffd"
    assert payload_text(b"abcdef", 3) == "abc"
