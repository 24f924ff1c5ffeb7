"""Words in texts: what a free word or a phrase finds.

A word is a run of letters, digits and underscores. `A-17` is two words, found where they follow
each other with only other characters between. A text without any word (`€`, `->`) is found as it
stands. Case does not matter (Unicode case folding).
"""

import re
from collections.abc import Callable
from typing import Final

from eventhub.query.tree import Words
from eventhub.query.wildcards import like

__all__ = ["needles", "word_finder"]

_WORD: Final = re.compile(r"\w+")
_WORD_OR_STARS: Final = re.compile(r"[\w*]+")


def needles(words: Words) -> list[str]:
    """Case-folded texts that are all in every text where `words` is found, the longest first.

    For stores: a *necessary* condition on the case-folded text of a payload or column. Databases
    fold differently: `ß` here is `ss`, and the Kelvin sign is `k`.
    """
    text = words.text.casefold()
    return sorted(_WORD.findall(text) or ([] if _has_wildcards(words) else [text]), key=len)[::-1]


def word_finder(words: Words) -> Callable[[str], bool]:
    """Whether a case-folded text holds the words, in order."""
    text = words.text.casefold()
    if _has_wildcards(words):
        return _pattern_finder(_WORD_OR_STARS.findall(text))
    found = _WORD.findall(text)
    if not found:
        return lambda haystack: text in haystack
    if len(found) == 1:
        search = re.compile(rf"\b{found[0]}\b").search
        return lambda haystack: found[0] in haystack and search(haystack) is not None
    # One regular expression for a phrase would start again at each `a` of "a a a a".
    phrase, rarest = _spaced(found), max(found, key=len)
    return lambda haystack: rarest in haystack and phrase in _spaced(_WORD.findall(haystack))


def _has_wildcards(words: Words) -> bool:
    return not words.phrase and "*" in words.text


def _spaced(words: list[str]) -> str:
    return f" {' '.join(words)} "


def _pattern_finder(patterns: list[str]) -> Callable[[str], bool]:
    """Words with wildcards are compared one by one: a regular expression for `*a*a*a*b` would
    try every way to part a long word."""
    tests = [like(tuple(re.split(r"\*+", pattern))) for pattern in patterns]
    rarest = max(
        (piece for pattern in patterns for piece in pattern.split("*")), key=len, default=""
    )

    def find(haystack: str) -> bool:
        if rarest not in haystack:
            return False
        matched: set[int] = set()
        for word in _WORD.finditer(haystack):
            text = word[0]
            # The lengths of the beginnings of `patterns` that end with this word.
            matched = {done + 1 for done in (0, *matched) if tests[done](text)}
            if len(tests) in matched:
                return True
        return False

    return find
