"""Texts and times that any database and any calendar can hold."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.events.event import as_datetime
from eventhub.events.text import storable


@given(st.text(st.characters()) | st.binary())
def test_storable_text_has_no_nul_and_is_utf8(value: str | bytes) -> None:
    text = storable(value)
    assert text is not None
    assert "\0" not in text
    text.encode("utf-8")


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "\0" not in text))
def test_good_text_stays_as_it_is(text: str) -> None:
    assert storable(text) == text
    assert storable(text.encode()) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        (b"", ""),
        ("a\0b", "a\\x00b"),
        (b"a\x00b", "a\\x00b"),
        (b"\xff", "\\xff"),
        ("\udcff", "\\xff"),  # a byte that an adapter carried through a text
        ("é\ud800", "é\\ud800"),
    ],
)
def test_what_cannot_be_stored_is_written_out(value: str | bytes | None, text: str | None) -> None:
    assert storable(value) == text


@pytest.mark.parametrize(
    ("milliseconds", "moment"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (1_768_478_400_123, datetime(2026, 1, 15, 12, 0, 0, 123000, tzinfo=UTC)),
        (-62_135_596_800_000, datetime.min.replace(tzinfo=UTC)),
        (253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (253_402_300_800_000, None),
        (-62_135_596_800_001, None),
        (2**80, None),
    ],
)
def test_times_are_dates_where_a_calendar_has_them(
    milliseconds: int, moment: datetime | None
) -> None:
    assert as_datetime(milliseconds) == moment
