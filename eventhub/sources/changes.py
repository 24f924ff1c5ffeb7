"""Every change to a source. The supervisor sees a raised revision within two seconds and acts."""

from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError as FieldsInvalid
from django.db import transaction
from django.db.models import F
from pydantic import ValidationError

from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import Adapter, StartFrom
from eventhub.brokers.problems import WHOLE, problems
from eventhub.sources.choices import Choices
from eventhub.sources.credentials import CredentialsLocked, decrypt
from eventhub.sources.models import Source

__all__ = [
    "ChangeRefused", "choices", "configuration", "create", "delete", "start", "stop",
    "update",
]  # fmt: skip

_Desired = Source.Desired


class ChangeRefused(Exception):
    """Nothing was changed. `problems` maps a field's name to a sentence (WHOLE for the rest)."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = dict(problems)


def choices(values: Mapping[str, Any]) -> Choices:
    """Raises ChangeRefused."""
    try:
        return Choices.model_validate(values)
    except ValidationError as error:
        raise ChangeRefused(problems(error, Choices)) from error


def configuration(
    adapter: Adapter[Any],
    values: Mapping[str, Any],
    *,
    stored: Source | None = None,
    forget: Collection[str] = (),
) -> BrokerConfig:
    """A configuration from entered values; a secret that was not entered is the stored one's,
    unless it is to be forgotten. Raises ChangeRefused.

    A stored secret is never sent to another address than the one it was entered for: whoever
    may edit a source must not be able to read its password by pointing it at their own server.
    """
    kept = _kept_secrets(stored, values, forget)
    try:
        config = adapter.config.join(values, kept)
    except ValidationError as error:
        raise ChangeRefused(problems(error, adapter.config)) from error
    if kept and stored is not None and config.secrets_go_to() != _secrets_went_to(stored):
        raise ChangeRefused({
            name: f"{adapter.config.model_fields[name].title or name}: enter it again, because"
            " the address has changed. A stored secret goes only where it was meant for."
            for name in kept
        })  # fmt: skip
    return config


def create(kind: str, chosen: Choices, config: BrokerConfig, *, running: bool) -> Source:
    """Add a source, and start it if `running`. Raises ChangeRefused."""
    source = Source(name=chosen.name, kind=kind)
    _write(source, chosen, config)
    source.desired = _Desired.RUNNING if running else _Desired.STOPPED
    _save(source)
    return source


def update(
    source: Source, chosen: Choices, config: BrokerConfig, *, revision: int, running: bool
) -> Source:
    """Change a source that was read at `revision`, and start it if `running`.

    Otherwise it stays as it is, running or stopped. Raises ChangeRefused.
    """
    with transaction.atomic():
        current = Source.objects.select_for_update().get(pk=source.pk)
        _refuse_deleted(current)
        if current.revision != revision:
            raise ChangeRefused({
                WHOLE: "Somebody else has changed this source since this form was opened."
                " Open it again, and make your change there."
            })  # fmt: skip
        if chosen.name != current.name:
            raise ChangeRefused({
                "name": f"Name: {current.name!r} stays, because stored events and the queue on"
                " the broker carry it. Add another source instead."
            })  # fmt: skip
        _write(current, chosen, config)
        current.revision += 1
        if running:
            current.desired = _Desired.RUNNING
        _save(current)
    return current


def start(source: Source) -> None:
    """Observe, or try again at once what has failed. Raises ChangeRefused."""
    _want(source, _Desired.RUNNING)


def stop(source: Source) -> None:
    """Stop observing; what the source has stored stays. Raises ChangeRefused."""
    _want(source, _Desired.STOPPED)


def delete(source: Source, typed: str) -> None:
    """Have the supervisor remove the source's traces on the broker, and then the source.

    `typed` must be its name. Raises ChangeRefused.
    """
    if typed != source.name:
        raise ChangeRefused({"typed": f"Type {source.name} to remove it, not “{typed[:60]}”."})
    _want(source, _Desired.DELETED)


def _want(source: Source, desired: Source.Desired) -> None:
    # One statement: a form that somebody else saves at the same time is not overwritten.
    changed = Source.objects.filter(pk=source.pk).exclude(desired=_Desired.DELETED)
    if not changed.update(desired=desired, revision=F("revision") + 1):
        raise ChangeRefused({WHOLE: f"{source.name} is being removed."})
    source.refresh_from_db()


def _write(source: Source, chosen: Choices, config: BrokerConfig) -> None:
    starts = source.adapter.capabilities.mode(getattr(config, "mode", None)).starts
    if StartFrom(chosen.start_from) not in starts:
        offered = " or ".join(start.value for start in starts)
        raise ChangeRefused({
            "start_from": f"Start from: this way of observing cannot start from"
            f" {chosen.start_from}; choose {offered}."
        })  # fmt: skip
    if chosen.start_from == "time" and chosen.start_time is None:
        raise ChangeRefused({"start_time": "Start time: is needed to start from a time."})
    chosen.write_to(source)
    source.configure(config)


def _save(source: Source) -> None:
    try:
        source.full_clean()
    except FieldsInvalid as error:
        found = {name: texts[0] for name, texts in error.message_dict.items()}
        if Source.objects.filter(name=source.name).exclude(pk=source.pk).exists():
            found["name"] = f"there is already a source called {source.name}; take another name."
        raise ChangeRefused({
            name: text if name == "__all__" else f"{_title(name)}: {text}"
            for name, text in found.items()
        }) from error  # fmt: skip
    source.save()


def _title(name: str) -> str:
    field = Choices.model_fields.get(name)
    return (field.title if field else None) or name


def _refuse_deleted(source: Source) -> None:
    if source.desired == _Desired.DELETED:
        raise ChangeRefused({WHOLE: f"{source.name} is being removed."})


def _kept_secrets(
    stored: Source | None, values: Mapping[str, Any], forget: Collection[str]
) -> dict[str, str]:
    if stored is None:
        return {}
    try:
        secrets = decrypt(stored.credentials)
    except CredentialsLocked:
        # They must be entered again; a field that is needed says so itself.
        return {}
    return {name: text for name, text in secrets.items() if name not in {*values, *forget}}


def _secrets_went_to(stored: Source) -> list[str] | None:
    try:
        return stored.configuration().secrets_go_to()
    except ValidationError:
        return None
