"""Fair shares: which rows are drawn when more match than a screen can show.

Every source and type gets its turn before any gets a second one (max-min fairness), so that one
failed payment is not lost among four thousand price ticks.
"""

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["fair_shares", "spread"]

T = TypeVar("T")


def fair_shares(sizes: Sequence[int], room: int) -> list[int]:
    """How many of each group fit into `room`. Where there is less than one for each group, the
    first ones get it: the caller puts those first that have waited longest.

    >>> fair_shares([100, 3, 40], 20)
    [9, 3, 8]
    """
    shares = [0] * len(sizes)
    if sum(sizes) <= room:
        return list(sizes)
    if room < len(sizes):
        for index in range(room):
            shares[index] = min(1, sizes[index])
        return shares
    waiting = sorted(range(len(sizes)), key=sizes.__getitem__)
    for place, index in enumerate(waiting):
        left = len(waiting) - place
        shares[index] = min(sizes[index], room // left)
        room -= shares[index]
    leftover = [index for index in range(len(sizes)) if shares[index] < sizes[index]]
    for index in leftover[:room]:
        shares[index] += 1
    return shares


def spread(items: list[T], count: int) -> list[T]:
    """`count` of `items`, evenly spaced and always with the last."""
    if count >= len(items):
        return items
    if count <= 0:
        return []
    return [items[(index + 1) * len(items) // count - 1] for index in range(count)]
