"""What is wrong with the values of a form, in words that say what to enter instead."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["WHOLE", "problems"]

WHOLE: Final = ""
"""The key of a problem that belongs to no single field."""

_NO_TIME: Final = "{value} is no time: write 2026-01-31T14:00."
_LONGEST_SHOWN: Final = 60

# pydantic's error type -> our words; `{value}` is what was entered, the rest is the error's own.
_WORDS: Final = {
    "missing": "is needed.",
    "string_too_short": "is needed.",
    "too_short": "needs at least {min_length}.",
    "int_parsing": "{value} is not a whole number.",
    "int_from_float": "{value} is not a whole number.",
    "float_parsing": "{value} is not a number.",
    "finite_number": "{value} is not a number that can be used.",
    "bool_parsing": "{value} is neither yes nor no.",
    "greater_than": "{value} is too small: give more than {gt}.",
    "greater_than_equal": "{value} is too small: give {ge} or more.",
    "less_than": "{value} is too large: give less than {lt}.",
    "less_than_equal": "{value} is too large: give {le} or less.",
    "string_too_long": "{value} is too long: {max_length} characters at most.",
    "literal_error": "{value} is not offered: choose {expected}.",
    "enum": "{value} is not offered: choose {expected}.",
    "extra_forbidden": "is not a setting of this kind; leave it out.",
}


def problems(error: ValidationError, model: type[BaseModel]) -> dict[str, str]:
    """Field name (or WHOLE) -> one sentence that begins with the field's title.

    The first problem of a field counts. What was entered is quoted, but never a secret.
    """
    found: dict[str, str] = {}
    for details in error.errors(include_url=False):
        name = str(details["loc"][0]) if details["loc"] else WHOLE
        found.setdefault(name, _sentence(name, details, model))
    return found


def _sentence(name: str, details: ErrorDetails, model: type[BaseModel]) -> str:
    field = model.model_fields.get(name)
    context: Mapping[str, Any] = details.get("ctx", {})
    if details["type"] == "value_error":  # raised by a validator of the adapter, in its own words
        words = str(context["error"])
    elif template := _words(details["type"]):
        secret = field is not None and "SecretStr" in str(field.annotation)
        value = "The value" if secret else _shown(details["input"])
        words = template.format(value=value, **context)
    else:
        words = details["msg"] + "."
    if field is None:
        return words if name == WHOLE else f"{name}: {words}"
    return f"{field.title or name}: {words}"


def _words(kind: str) -> str | None:
    return _NO_TIME if kind.startswith("datetime") else _WORDS.get(kind)


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "The value"
    text = value if isinstance(value, str) else str(value)
    return f"“{text[:_LONGEST_SHOWN]}…”" if len(text) > _LONGEST_SHOWN else f"“{text}”"
