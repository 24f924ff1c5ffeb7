"""The base of every broker's configuration.

A configuration is flat: text, number, yes/no, choice (`Literal`), secret (`SecretStr`) and list
of texts. It is the admin form, the validation, the `sources.yaml` schema and the documentation:
each field has a title, a description and, where it helps, examples.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SecretStr

__all__ = ["BrokerConfig"]


class BrokerConfig(BaseModel):
    """What it takes to reach one broker and what to observe there."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def secret_fields(cls) -> list[str]:
        """Names of the fields that are kept encrypted and never shown."""
        return [
            name
            for name, field in cls.model_fields.items()
            if field.annotation is SecretStr or field.annotation == SecretStr | None
        ]

    def split(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Plain values, and secrets that are set: ready to be stored apart from each other."""
        plain = self.model_dump(mode="json", exclude=set(self.secret_fields()))
        secrets = {}
        for name in self.secret_fields():
            value: SecretStr | None = getattr(self, name)
            if value is not None and value.get_secret_value():
                secrets[name] = value.get_secret_value()
        return plain, secrets

    @classmethod
    def join(cls, plain: Mapping[str, Any], secrets: Mapping[str, str]) -> Self:
        """The inverse of `split`. Raises pydantic's ValidationError."""
        return cls.model_validate({**plain, **secrets})

    @property
    def shares(self) -> int:
        """How many processes collect this source together, each an own share of it (a set of
        partitions), on one host or on several."""
        return 1

    def address(self) -> str:
        """Where the broker is, for a page: host, port, no secret."""
        raise NotImplementedError

    def secrets_go_to(self) -> list[str]:
        """Every place that is sent a secret. When one changes, secrets must be entered again."""
        return [self.address()]
