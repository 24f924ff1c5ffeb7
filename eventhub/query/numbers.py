"""Numbers as people and JSON write them, compared digit for digit."""

import re
from decimal import Decimal, InvalidOperation
from typing import Final

__all__ = ["as_number"]

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")


def as_number(text: str) -> Decimal | None:
    """The exact number that `text` is; None where it is none (`NaN` is none).

    A float would make 9007199254740993 equal to 9007199254740992.
    """
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        # An exponent beyond what the decimal library can hold.
        return None
