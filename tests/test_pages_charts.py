"""Charts: what is missing is never drawn as zero."""

import json
from itertools import pairwise

from dashboard.charts.rates import rates_figure
from dashboard.charts.series import MINUTE, Series, rates_by_source
from dashboard.charts.spark import spark
from eventhub.brokers.contract import Gap
from eventhub.store.contract import Count, StoredGap, Window

START = 1_700_000_040_000 - 1_700_000_040_000 % MINUTE
TEN = Window(START, START + 10 * MINUTE)


def counted(minute: int, events: int, source: int = 1) -> Count:
    return Count(START + minute * MINUTE, source, "orders", "OrderPlaced", events, events * 100)


def gap(started: int, ended: int, source: int = 1) -> StoredGap:
    return StoredGap(1, source, Gap("was not connected", started, ended))


def values_of(series: list[Series]) -> list[float | None]:
    (one,) = series
    return one.values


def test_events_of_a_step_are_told_per_second() -> None:
    series = rates_by_source(
        [counted(0, 120), counted(1, 60)], [], TEN, 2 * MINUTE, names={1: "shop"}, known_since={}
    )
    assert values_of(series) == [1.5, 0.0, 0.0, 0.0, 0.0]


def test_a_quiet_minute_is_zero_but_one_in_a_gap_is_unknown() -> None:
    hole = gap(START + 3 * MINUTE + 1, START + 4 * MINUTE + 1)
    series = rates_by_source(
        [counted(0, 60)], [hole], TEN, MINUTE, names={1: "shop"}, known_since={}
    )
    assert values_of(series) == [1.0, 0.0, 0.0, None, None, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_another_sources_gap_leaves_no_hole() -> None:
    hole = gap(START, START + 9 * MINUTE, source=2)
    series = rates_by_source(
        [counted(0, 60)], [hole], TEN, MINUTE, names={1: "shop"}, known_since={}
    )
    assert None not in values_of(series)


def test_before_a_source_was_made_nothing_is_known() -> None:
    series = rates_by_source(
        [counted(9, 60)],
        [],
        TEN,
        MINUTE,
        names={1: "shop"},
        known_since={1: START + 8 * MINUTE},
    )
    assert values_of(series) == [None] * 8 + [0.0, 1.0]


def test_the_step_in_which_observing_began_counts_with_its_observed_part() -> None:
    series = rates_by_source(
        [counted(0, 60)],
        [],
        TEN,
        2 * MINUTE,
        names={1: "shop"},
        known_since={1: START + MINUTE // 2},
    )
    assert values_of(series)[0] == 60 / 90


def test_more_than_six_sources_become_other() -> None:
    counts = [counted(0, 60 * (10 - n), source=n) for n in range(1, 10)]
    names = {n: f"s{n}" for n in range(1, 10)}
    series = rates_by_source(counts, [], TEN, MINUTE, names=names, known_since={})
    assert [one.name for one in series] == ["s1", "s2", "s3", "s4", "s5", "s6", "other"]
    assert series[-1].values[0] == 3 + 2 + 1


def test_the_figure_is_json_and_its_colours_are_tokens() -> None:
    series = [Series("shop", [1.0, None, 3.0]), Series("ticks", [4.0, 4.0, 4.0])]
    window = Window(START, START + 3 * MINUTE)
    figure = rates_figure(
        series, [gap(START + MINUTE, START + MINUTE + 7)], window, MINUTE, names={1: "shop"}
    )
    assert json.loads(json.dumps(figure)) == figure
    area, first, second = figure["data"]
    assert first["y"] == [1.0, None, 3.0]
    assert first["connectgaps"] is False
    assert first["line"]["color"] == "var(--c1)"
    assert second["line"]["dash"] != first["line"]["dash"]
    assert "#" not in json.dumps(figure)
    assert area["fillpattern"]["shape"] == "/"
    assert area["x"][2] - area["x"][0] > 7, "a gap of 7 ms has to be seen"


def test_what_lies_before_observing_is_hatched_and_a_lonely_value_is_a_dot() -> None:
    series = [Series("shop", [None, None, 2.0])]
    window = Window(START, START + 3 * MINUTE)
    figure = rates_figure(series, [], window, MINUTE, names={}, observed_from=START + 2 * MINUTE)
    area, line = figure["data"]
    assert area["x"][:3] == [START, START, START + 2 * MINUTE]
    assert line["marker"]["size"] == [0, 0, 5]
    assert "not observed yet" in [note["text"] for note in figure["layout"]["annotations"]]


def test_labels_at_the_right_edge_do_not_overlap() -> None:
    series = [Series(f"s{n}", [1.0]) for n in range(6)]
    figure = rates_figure(series, [], Window(START, START + MINUTE), MINUTE, names={})
    notes = figure["layout"]["annotations"]
    heights = sorted(note["y"] for note in notes if note["text"].startswith("s"))
    assert len(heights) == 6
    drawn = 210 - 8 - 26
    assert all((b - a) * drawn >= 14 for a, b in pairwise(heights))


def test_a_figure_without_events_still_has_its_axes() -> None:
    figure = rates_figure([], [], TEN, MINUTE, names={})
    assert figure["data"] == []
    assert figure["layout"]["xaxis"]["range"] == [TEN.start, TEN.end]


def test_a_spark_lifts_the_pen_over_what_is_unknown() -> None:
    drawn = spark([1.0, 2.0, None, None, 2.0])
    assert drawn.path.count("M") == 2
    assert drawn.holes == [(60.0, 60.0)]
    assert drawn.most == 2.0


def test_a_spark_of_nothing_known_is_empty() -> None:
    assert spark([None, None]).path == ""
    assert spark([]).path == ""
