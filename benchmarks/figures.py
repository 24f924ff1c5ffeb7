"""What every benchmark prints: a figure, its baseline from the same run, and their ratio."""

import json
import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["Figure", "median", "print_figures"]


class Figure(msgspec.Struct, frozen=True):
    """`value` and `baseline` are in `unit`; the ratio is value / baseline."""

    name: str
    unit: str
    value: float
    baseline: float
    baseline_name: str
    details: dict[str, float] = {}

    @property
    def ratio(self) -> float:
        return self.value / self.baseline


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def print_figures(figures: Sequence[Figure], *, as_json: bool) -> None:
    """A table for people, or one JSON object for scripts."""
    if as_json:
        print(json.dumps({figure.name: _plain(figure) for figure in figures}))
        return
    print(f"{'what':<28} {'value':>10} {'baseline':>10} {'ratio':>6}  baseline, unit")
    for figure in figures:
        print(
            f"{figure.name:<28} {figure.value:>10,.0f} {figure.baseline:>10,.0f}"
            f" {figure.ratio:>6.2f}  {figure.baseline_name}, {figure.unit}"
        )
        for name, value in figure.details.items():
            print(f"  {name:<26} {value:>10,.0f}")


def _plain(figure: Figure) -> dict[str, Any]:
    return {**msgspec.to_builtins(figure), "ratio": round(figure.ratio, 3)}
