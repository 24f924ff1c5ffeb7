"""A test message: published by a source's own broker, to be found again in its history."""

import json
import secrets
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pydantic import ValidationError

from eventhub.brokers.contract import Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import BrokerError
from eventhub.sources.credentials import CredentialsLocked
from eventhub.sources.models import Source

__all__ = ["TYPE", "Draft", "draft", "publish"]

TYPE: Final = "eventhub.test"
_WILDCARDS: Final = "*?#["


class Draft(NamedTuple):
    """What the form offers. `token` is one word that no other message has."""

    target: str
    payload: str
    token: str


def draft(source: Source) -> Draft:
    """A target that the source observes, where its configuration names one, and a payload."""
    token = f"test{secrets.token_hex(6)}"
    sent = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = {"test": token, "from": "EventHub", "source": source.name, "sent": sent}
    return Draft(_target(source), json.dumps(payload, indent=2), token)


def publish(source: Source, target: str, payload: str, token: str) -> Outcome:
    """Publish as the source's own user and wait for the broker's word. Never raises."""
    if not target.strip():
        return Refused("A target is needed.")
    message = Message(
        payload=payload.encode(),
        type=TYPE,
        message_id=token,
        content_type="application/json",
    )
    try:
        publisher = source.adapter.publisher(source.configuration())
    except (BrokerError, ValidationError, CredentialsLocked) as error:
        return Refused(_words(error))
    try:
        [outcome] = publisher.publish([message], target)
        return outcome
    except BrokerError as error:
        # The connection may have ended before or after the broker took it.
        return Unknown(_words(error))
    finally:
        publisher.close()


def _target(source: Source) -> str:
    for name in _observed(source):
        plain = "".join("test" if letter in "*#" else letter for letter in name)
        if not set(plain) & set(_WILDCARDS):
            return plain
    return ""


def _observed(source: Source) -> list[str]:
    """The destinations that the configuration names, whichever of its fields does."""
    try:
        fields = source.adapter.config.model_fields
    except BrokerError:
        return []
    names: list[str] = []
    for name, field in fields.items():
        hints = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if "destinations" in hints:
            names += map(str, source.config.get(name, []))
    return names


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "The configuration of this source is not valid: edit it first."
    way_out = getattr(error, "way_out", "")
    return f"{error} {way_out}".strip()
