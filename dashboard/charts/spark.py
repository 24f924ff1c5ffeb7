"""A line of one hour, small enough for a table cell."""

from collections.abc import Sequence

import msgspec

__all__ = ["HEIGHT", "WIDTH", "Spark", "spark"]

WIDTH, HEIGHT = 120, 20


class Spark(msgspec.Struct, frozen=True):
    path: str
    """SVG path data in a box of WIDTH by HEIGHT; empty when nothing is known."""
    holes: list[tuple[float, float]]
    """(x, width) of spans that are not known."""
    most: float


def spark(values: Sequence[float | None]) -> Spark:
    """Zero is the floor and the most is the top, so that a flat line near the top is steady."""
    most = max((value for value in values if value is not None), default=0.0)
    across = WIDTH / max(len(values) - 1, 1)
    parts, holes, pen_down, hole_from = [], [], False, None
    for number, value in enumerate(values):
        x = number * across
        if value is None:
            hole_from = x if hole_from is None else hole_from
            pen_down = False
            continue
        if hole_from is not None:
            holes.append((round(hole_from, 1), round(x - hole_from, 1)))
            hole_from = None
        y = HEIGHT - 2 - (value / most * (HEIGHT - 4) if most else 0)
        # The short stroke is the dot of a value that stays alone.
        parts.append(f"L{x:.1f} {y:.1f}" if pen_down else f"M{x:.1f} {y:.1f}h.1")
        pen_down = True
    if hole_from is not None and parts:
        holes.append((round(hole_from, 1), round(WIDTH - hole_from, 1)))
    return Spark("".join(parts), holes if parts else [], most)
