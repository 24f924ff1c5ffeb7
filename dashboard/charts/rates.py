"""Events per second by source, as a Plotly figure."""

from collections.abc import Sequence
from typing import Any, Final

from dashboard.charts.series import Series
from eventhub.store.contract import StoredGap, Window

__all__ = ["rates_figure"]

HEIGHT: Final = 210
_MARGIN: Final = {"l": 48, "r": 124, "t": 8, "b": 26}
_LABEL_GAP: Final = 15
"""Pixels that two labels at the right edge need between them."""


def rates_figure(
    series: Sequence[Series],
    gaps: Sequence[StoredGap],
    window: Window,
    step: int,
    *,
    names: dict[int, str],
    observed_from: int | None = None,
) -> dict[str, Any]:
    """A figure for `Plotly.react`; times in milliseconds, drawn in the reader's zone. What lies
    before `observed_from` is hatched."""
    times = [window.start + number * step for number in range(_steps(window, step))]
    top = max((value for one in series for value in one.values if value is not None), default=0.0)
    top = max(top * 1.12, 0.05)
    lines = [_line(one, times, order) for order, one in enumerate(series)]
    return {
        "data": [
            *_before_observing(window, observed_from),
            *_gap_areas(gaps, window, names),
            *lines,
        ],
        "layout": {
            "height": HEIGHT,
            "margin": _MARGIN,
            "showlegend": False,
            "hovermode": "x unified",
            "hoverlabel": {"bgcolor": "var(--overlay)", "bordercolor": "var(--line-strong)"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "var(--sans)", "size": 11, "color": "var(--ink-3)"},
            "xaxis": {
                "type": "date",
                "range": [window.start, window.end],
                "showgrid": False,
                "linecolor": "var(--line-strong)",
                "showline": True,
                "ticks": "",
                "fixedrange": True,
                "nticks": 7,
                "hoverformat": "%-d %b %H:%M",
                "tickformatstops": [
                    {"dtickrange": [None, 86_399_999], "value": "%H:%M"},
                    {"dtickrange": [86_400_000, None], "value": "%-d %b"},
                ],
            },
            "yaxis": {
                "range": [0, top],
                "nticks": 4,
                "gridcolor": "var(--grid)",
                "zeroline": False,
                "fixedrange": True,
                "ticksuffix": " ",
                "exponentformat": "SI",
                "title": {"text": "events/s", "standoff": 4, "font": {"size": 11}},
            },
            "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
            "annotations": [
                *_labels(series, top),
                *_gap_labels(gaps, window, names),
                *_observing_label(window, observed_from),
            ],
        },
    }


def _steps(window: Window, step: int) -> int:
    return -(-(window.end - window.start) // step)


def _colour(order: int) -> str:
    return f"var(--c{order + 1})" if order < 6 else "var(--c-other)"


def _line(one: Series, times: list[int], order: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": one.name,
        "x": times,
        "y": [None if value is None else round(value, 3) for value in one.values],
        "connectgaps": False,
        # The second is dashed: two lines that cross stay apart without colour.
        "line": {
            "color": _colour(order),
            "width": 1.8,
            "dash": "5px,3px" if order == 1 else "solid",
        },
        # A value between unknown ones has no line to either side.
        "marker": {"color": _colour(order), "size": [5 * alone for alone in _alone(one.values)]},
        "hovertemplate": "%{y:,.3~r}/s",
    }


def _alone(values: Sequence[float | None]) -> list[bool]:
    padded = [None, *values, None]
    return [
        here is not None and before is None and after is None
        for before, here, after in zip(padded, padded[1:], padded[2:], strict=False)
    ]


def _area(started: int, ended: int, colour: str, name: str) -> dict[str, Any]:
    """A hatched span over the whole height."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [started, started, ended, ended, started],
        "y": [0, 1, 1, 0, 0],
        "yaxis": "y2",
        "fill": "toself",
        "fillpattern": {
            "shape": "/", "size": 5, "solidity": 0.22,
            "fgcolor": colour, "bgcolor": "rgba(0,0,0,0)",
        },
        "line": {"width": 0},
        "hoverinfo": "skip",
        "name": name,
    }  # fmt: skip


def _before_observing(window: Window, observed_from: int | None) -> list[dict[str, Any]]:
    if observed_from is None or observed_from <= window.start:
        return []
    ended = min(observed_from, window.end)
    return [_area(window.start, ended, "var(--line)", "not observed yet")]


def _observing_label(window: Window, observed_from: int | None) -> list[dict[str, Any]]:
    if not _before_observing(window, observed_from):
        return []
    return [
        {
            "x": window.start, "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "top",
            "xshift": 3, "text": "not observed yet", "showarrow": False,
            "bgcolor": "var(--bg)", "font": {"color": "var(--ink-3)", "size": 11},
        }
    ]  # fmt: skip


def _gap_areas(
    gaps: Sequence[StoredGap], window: Window, names: dict[int, str]
) -> list[dict[str, Any]]:
    """Hatched spans. A gap of milliseconds is drawn as wide as can still be seen."""
    least = (window.end - window.start) // 250
    areas = []
    for stored in gaps:
        started = max(stored.gap.started, window.start)
        ended = min(max(stored.gap.ended, started + least), window.end)
        if started < ended:
            name = f"gap, {names.get(stored.source_id, '')}"
            areas.append(_area(started, ended, "var(--warn)", name))
    return areas


def _gap_labels(
    gaps: Sequence[StoredGap], window: Window, names: dict[int, str]
) -> list[dict[str, Any]]:
    """Words at the two longest gaps, where there is room for them."""
    length = window.end - window.start
    longest = sorted(gaps, key=lambda stored: stored.gap.started - stored.gap.ended)[:2]
    return [
        {
            "x": min(stored.gap.ended, window.end), "y": 1, "yref": "paper",
            "xanchor": "left", "yanchor": "top", "xshift": 3,
            "text": f"gap, {names.get(stored.source_id, '')}"[:40],
            "showarrow": False,
            "font": {"color": "var(--ink)", "size": 11},
        }
        for stored in longest
        if stored.gap.ended < window.end - length // 8
    ]  # fmt: skip


def _labels(series: Sequence[Series], top: float) -> list[dict[str, Any]]:
    """Names at the right end of their lines, moved apart where they would overlap."""
    if len(series) < 2:
        return []
    drawn = HEIGHT - _MARGIN["t"] - _MARGIN["b"]
    ends = []
    for order, one in enumerate(series):
        last = next((value for value in reversed(one.values) if value is not None), 0.0)
        ends.append((last / top * drawn, order, one.name))
    labels, floor = [], 0.0
    for height, order, name in sorted(ends):
        floor = max(height, floor)
        place = {
            "x": 1, "xref": "paper", "xanchor": "left",
            "y": floor / drawn, "yref": "paper", "yanchor": "middle", "showarrow": False,
        }  # fmt: skip
        words = name if len(name) <= 16 else name[:15] + "…"
        # The series' colours are for lines: as letters they would be too faint in the dark.
        labels.append(
            {**place, "xshift": 5, "text": "━", "font": {"color": _colour(order), "size": 11}}
        )
        labels.append(
            {**place, "xshift": 18, "text": words, "font": {"color": "var(--ink-2)", "size": 11}}
        )
        floor += _LABEL_GAP
    return labels
