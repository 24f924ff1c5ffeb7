"""Wildcards without regular expressions: time grows with the text, never explodes."""

from collections.abc import Callable

__all__ = ["like"]


def like(parts: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a text is `parts` in order with anything between them; case counts.

    One part is the whole text. Taking each middle part where it first occurs is enough: a later
    place only leaves less room for the rest.
    """
    if len(parts) == 1:
        whole = parts[0]
        return lambda text: text == whole
    first, *middle, last = parts
    least = sum(map(len, parts))
    if not middle:
        return lambda text: len(text) >= least and text.startswith(first) and text.endswith(last)

    def test(text: str) -> bool:
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        place, end = len(first), len(text) - len(last)
        for part in middle:
            place = text.find(part, place, end)
            if place < 0:
                return False
            place += len(part)
        return True

    return test
