"""One small renderer for every broker's configuration: a pydantic model becomes a form.

Kinds of fields: text, number, yes_no, choice, secret, list (of texts) and time. A field that is
left blank takes its default; a blank secret keeps what is stored. Secrets are never rendered.
"""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from django.http import QueryDict
from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["Field", "fields", "forgotten", "read"]


_KINDS: Final[dict[Any, str]] = {
    bool: "yes_no",
    int: "number",
    float: "number",
    SecretStr: "secret",
    datetime: "time",
    AwareDatetime: "time",
}


class Field(NamedTuple):
    """What a template needs to draw one field."""

    name: str
    kind: str
    title: str
    description: str
    example: str
    required: bool
    value: Any
    """Text; a bool for yes_no; never a secret."""
    error: str
    choices: tuple[str, ...] = ()
    stored: bool = False
    """A secret is kept from before: blank means unchanged."""
    whole: bool = False
    """A number without decimals."""
    hints: Mapping[str, Any] = {}
    """The field's `json_schema_extra`."""

    @property
    def id(self) -> str:
        return f"field-{self.name}"

    @property
    def when(self) -> str:
        """JSON of the choices with which the field means something: `{"mode": ["tap"]}`, from
        `json_schema_extra={"when": …}`. Empty: with all. Without scripts it is always shown."""
        return json.dumps(self.hints["when"]) if "when" in self.hints else ""

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether it means something with these stored values."""
        conditions: Any = self.hints.get("when", {})
        return all(
            ("on" if values.get(name) is True else values.get(name)) in meant
            for name, meant in conditions.items()
        )

    @property
    def wide(self) -> bool:
        """Takes the whole width of the form."""
        return self.kind == "list" or len(self.description) > 90


def read(model: type[BaseModel], data: QueryDict) -> dict[str, Any]:
    """The entered values, ready for the model's own validation; blank ones are left out."""
    values: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind = _kind(info)
        if kind == "yes_no":
            values[name] = name in data
        elif kind == "list":
            lines = [line.strip() for line in data.get(name, "").splitlines()]
            values[name] = [line for line in lines if line]
        else:
            # A password may begin with a blank; a host never does, but a paste often brings one.
            text = data.get(name, "") if kind == "secret" else data.get(name, "").strip()
            if text:
                values[name] = text
    return values


def forgotten(model: type[BaseModel], data: QueryDict) -> set[str]:
    """Secrets that a person asked to forget."""
    return {name for name in model.model_fields if f"forget-{name}" in data}


def fields(
    model: type[BaseModel],
    values: Mapping[str, Any] | None = None,
    errors: Mapping[str, str] | None = None,
    stored: Collection[str] = (),
) -> dict[str, Field]:
    """Field name -> field, in the model's order, showing `values` or else the defaults.

    `values` are entered ones (`read`) or stored ones; `stored` names the secrets kept from before.
    """
    shown = values or {}
    problems = errors or {}
    return {
        name: _field(name, info, shown, problems.get(name, ""), name in stored)
        for name, info in model.model_fields.items()
    }


def _field(
    name: str, info: FieldInfo, values: Mapping[str, Any], error: str, stored: bool
) -> Field:
    kind = _kind(info)
    default = info.get_default(call_default_factory=True) if not info.is_required() else None
    annotation = _plain(info.annotation)
    return Field(
        name=name,
        kind=kind,
        title=info.title or name.replace("_", " ").capitalize(),
        description=info.description or "",
        example=_text(kind, info.examples[0]) if info.examples else "",
        required=info.is_required() and not stored,
        value=None if kind == "secret" else _text(kind, values.get(name, default)),
        error=error,
        choices=tuple(map(str, get_args(annotation))) if kind == "choice" else (),
        stored=stored,
        whole=annotation is int,
        hints=info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {},
    )


def _kind(info: FieldInfo) -> str:
    annotation = _plain(info.annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return "choice"
    if origin in (list, tuple):
        return "list"
    return _KINDS.get(annotation, "text")


def _plain(annotation: Any) -> Any:
    """The annotation without `| None` and without what `Annotated` adds."""
    if hasattr(annotation, "__metadata__"):
        return _plain(annotation.__origin__)
    if get_origin(annotation) not in (None, list, tuple, Literal):
        others = [each for each in get_args(annotation) if each is not NoneType]
        return _plain(others[0]) if len(others) == 1 else annotation
    return annotation


def _text(kind: str, value: Any) -> Any:
    if kind == "yes_no":
        return bool(value)
    if value is None:
        return ""
    if kind == "list":
        return "\n".join(map(str, value))
    if kind == "time" and isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
