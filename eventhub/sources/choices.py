"""What a person decides about a source besides how to reach its broker."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from django.core.exceptions import ValidationError
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from eventhub.brokers.contract import StartFrom
from eventhub.sources.models import Source

__all__ = ["Choices"]

_GIB: Final = 1024**3
_MIB: Final = 1024**2


def _utc_unless_told(value: Any) -> Any:
    """A time without a zone, as a browser's field gives it, is UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    if isinstance(moment, datetime) and moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


class Choices(BaseModel):
    """Sizes are in the units that people use; a source keeps bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        title="Name",
        description="Lower-case letters, digits, dots, dashes. It stays for good.",
        examples=["shop-eu"],
    )
    environment: Literal["production", "staging", "test", "development", "demo"] = Field(
        default="production", title="Environment", description="A label on every page."
    )
    start_from: Literal["now", "earliest", "time"] = Field(default="now", title="Start from")
    start_time: Annotated[AwareDatetime | None, BeforeValidator(_utc_unless_told)] = Field(
        default=None, title="Start time (UTC)", examples=["2026-01-31T14:00"]
    )
    retention_days: int = Field(
        default=7, ge=1, le=3650, title="Keep for (days)", description="Older events are removed."
    )
    retention_gib: float = Field(
        default=5,
        ge=0.001,
        le=1024**2,
        title="Keep at most (GiB)",
        description="Beyond it the oldest events are removed.",
    )
    payload_limit_mib: float = Field(
        default=8,
        ge=0.001,
        le=64,
        title="Payload limit (MiB)",
        description="A longer payload is cut and cannot be replayed.",
    )
    type_path: str = Field(
        default="",
        max_length=200,
        title="Type in the payload",
        description="Keys at which JSON tells the type, where the broker does not.",
        examples=["data.kind"],
    )
    depth_every: int = Field(
        default=5,
        ge=0,
        le=3600,
        title="Look at depths every (s)",
        description="How many messages wait, and who lags. 0: never.",
    )

    @field_validator("name")
    @classmethod
    def _as_a_source_may_be_called(cls, name: str) -> str:
        try:
            Source._meta.get_field("name").run_validators(name)
        except ValidationError as error:
            raise ValueError(error.messages[0]) from error
        return name

    @classmethod
    def of(cls, source: Source) -> "Choices":
        """The choices that were made for a stored source."""
        moment = source.start_time
        return cls.model_validate(
            {
                "name": source.name,
                "environment": source.environment,
                "start_from": source.start_from,
                "start_time": None if moment is None else datetime.fromtimestamp(moment / 1e3, UTC),
                "retention_days": source.retention_days,
                "retention_gib": source.retention_bytes / _GIB,
                "payload_limit_mib": source.payload_limit / _MIB,
                "type_path": source.type_path,
                "depth_every": source.depth_every,
            }
        )

    def write_to(self, source: Source) -> None:
        """Everything but the name, which only a new source is given."""
        source.environment = self.environment
        source.start_from = StartFrom(self.start_from)
        source.start_time = int(self.start_time.timestamp() * 1000) if self.start_time else None
        source.retention_days = self.retention_days
        source.retention_bytes = round(self.retention_gib * _GIB)
        source.payload_limit = round(self.payload_limit_mib * _MIB)
        source.type_path = self.type_path.strip().strip(".")
        source.depth_every = self.depth_every
