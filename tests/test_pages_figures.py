"""Times, sizes and counts as every page writes them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import engines

from dashboard.templatetags.eventhub import count, offset, rate, short, size, span, visible


def rendered(source: str, **context: object) -> str:
    return engines["django"].from_string(source).render(context)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1204, "1\u202f204"), (None, "–")]
)
def test_counts_have_thin_separators(number: int | None, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0\u00a0B"),
        (1023, "1023\u00a0B"),
        (1024, "1.0\u00a0KiB"),
        (10_240, "10\u00a0KiB"),
        (5 * 1024**2, "5.0\u00a0MiB"),
        (3 * 1024**5, "3072\u00a0TiB"),
    ],
)
def test_sizes_take_the_unit_that_reads_best(length: int, text: str) -> None:
    assert size(length) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0.0, "0"), (0.0001, "0.01"), (0.5, "0.50"), (3.24, "3.2"), (4270.4, "4\u202f270")],
)
def test_a_little_is_never_shown_as_nothing(per_second: float, text: str) -> None:
    assert rate(per_second) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (7, "7\u00a0ms"),
        (12_500, "12\u00a0s"),
        (2_400_000, "40\u00a0min"),
        (90_000_000, "25\u00a0h"),
    ],
)
def test_spans_are_told_in_one_unit(milliseconds: int, text: str) -> None:
    assert span(milliseconds) == text


def test_large_numbers_are_rounded() -> None:
    assert short(318_402_111) == "318\u00a0M"
    assert short(9_999) == "9\u202f999"


def test_an_offset_has_its_sign() -> None:
    assert offset(17) == "+17\u00a0ms"
    assert offset(-3_600_000) == "−60\u00a0min"


def test_a_time_of_today_is_a_clock_and_keeps_utc_in_its_title() -> None:
    moment = datetime.now(UTC).replace(hour=14, minute=2, second=7, microsecond=318_000)
    html = rendered("{% time moment %}", moment=int(moment.timestamp() * 1000))
    assert ">14:02:07.318</time>" in html
    assert f'datetime="{moment:%Y-%m-%d}T14:02:07.318Z"' in html
    assert f'title="{moment:%Y-%m-%d} 14:02:07.318 UTC"' in html


def test_a_time_of_another_day_has_its_date_before_it() -> None:
    html = rendered("{% time moment %}", moment=datetime.now(UTC) - timedelta(days=400))
    year = (datetime.now(UTC) - timedelta(days=400)).year
    assert f" {year} " in html.split(">")[1]


def test_a_time_that_no_calendar_holds_is_a_number() -> None:
    assert "100000000000000000 ms" in rendered("{% time moment %}", moment=10**17)


def test_text_cannot_turn_the_direction_of_its_line() -> None:
    assert visible("\u202egnp.exe") == "⟨202E⟩gnp.exe"
    assert visible("a\x00b\x1b[31m") == "a⟨0000⟩b⟨001B⟩[31m"
    assert visible("two\nlines\tand a tab") == "two\nlines\tand a tab"
    assert visible("שלום") == "שלום"


def test_a_state_has_an_icon_and_a_word() -> None:
    html = rendered('{% status "bad" word %}', word="<not> connected")
    assert 'class="st bad"' in html
    assert "#bad" in html
    assert "&lt;not&gt; connected" in html
