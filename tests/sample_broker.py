"""A broker kind with every kind of field and two modes, for tests of forms and pages."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field, SecretStr, field_validator

from eventhub.brokers import registry
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import (
    Capabilities,
    Completeness,
    Confirmed,
    Consumer,
    DeadLetters,
    DepthProbe,
    Destination,
    Message,
    Mode,
    Observation,
    Outcome,
    ReadSafety,
    Refused,
    StartFrom,
    Step,
    Unknown,
    Verdict,
)
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["VALID", "SampleConfig", "sample_kind"]

VALID = {"host": "broker.example", "password": "geheim"}


class SampleConfig(BrokerConfig):
    host: str = Field(title="Host", description="Where it is.", examples=["broker.example"])
    port: int = Field(default=1234, ge=1, le=65535, title="Port")
    rate: float = Field(default=1.5, gt=0, title="Rate")
    tls: bool = Field(default=True, title="TLS")
    level: Literal["low", "high"] = Field(default="low", title="Level")
    password: SecretStr = Field(title="Password")
    token: SecretStr | None = Field(default=None, title="Token")
    note: str | None = Field(default=None, title="Note")
    topics: list[str] = Field(default=[], title="Topics", examples=[["orders", "stock"]])
    queues: list[str] = Field(
        default=[], title="Queues", json_schema_extra={"destinations": ["queue"]}
    )
    mode: Literal["tap", "log"] = Field(default="tap", title="Mode")

    @field_validator("host")
    @classmethod
    def _no_blank_inside(cls, host: str) -> str:
        if " " in host:
            raise ValueError(f"“{host}” has a blank in it: give one name.")
        return host

    def address(self) -> str:
        return f"{self.host}:{self.port}"


class _Publisher:
    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if target == "closed":
            return [Refused("The topic closed is closed.")] * len(messages)
        if target == "lost":
            raise NotConnected("The connection was lost.")
        if target == "slow":
            return [Unknown("No answer came in time.")] * len(messages)
        return [Confirmed(f"{len(message.payload)} bytes taken.") for message in messages]

    def close(self) -> None:
        """Nothing is held."""


class Sample:
    kind: ClassVar[str] = "sample"
    title: ClassVar[str] = "Sample broker"
    config: ClassVar[type[BrokerConfig]] = SampleConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        modes=(
            Mode(
                name="tap",
                safety=ReadSafety.ADDS_A_BOUNDED_QUEUE,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW,),
                effect="Adds a queue of 10 messages.",
                blind_spot="What an overflow dropped.",
            ),
            Mode(
                name="log",
                safety=ReadSafety.HARMLESS,
                completeness=Completeness.COMPLETE,
                starts=(StartFrom.NOW, StartFrom.EARLIEST, StartFrom.TIME),
                effect="Reads the log.",
                blind_spot="What was truncated.",
            ),
        ),
        publishes_to="topic",
    )

    def consumer(self, config: SampleConfig, observation: Observation) -> Consumer:
        raise PermanentFailure("The sample broker has no messages.")

    def publisher(self, config: SampleConfig) -> _Publisher:
        return _Publisher()

    def depth(self, config: SampleConfig) -> DepthProbe:
        raise PermanentFailure("The sample broker has no depth.")

    def dead_letters(self, config: SampleConfig) -> DeadLetters:
        raise PermanentFailure("The sample broker has no dead letters.")

    def discover(self, config: SampleConfig) -> list[Destination]:
        if config.host == "away.example":
            raise NotConnected("Nobody is there.", way_out="Start the broker.")
        return [
            Destination("orders", "topic", "2 readers"),
            Destination("<b>bold</b>", "topic"),
            Destination("work", "queue"),
        ]

    def check_connection(self, config: SampleConfig) -> Iterator[Step]:
        yield Step("resolve", Verdict.OK, f"{config.host} is 10.0.0.1.", milliseconds=4)
        if config.password.get_secret_value() != "geheim":
            yield Step("authenticate", Verdict.FAILED, "Wrong password.", "Enter another.", 7)
            return
        yield Step("authenticate", Verdict.OK, "Signed in.", milliseconds=7)
        yield Step("permissions", Verdict.WARNING, "May not see depths.", "Grant monitoring.", 9)

    def remove_traces(self, config: SampleConfig, observation: Observation) -> None:
        """It adds nothing."""


@pytest.fixture
def sample_kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The kind `sample`, known to the registry while a test runs."""
    monkeypatch.setitem(registry._OURS, "sample", "tests.sample_broker:Sample")
    registry._paths.cache_clear()
    yield registry.adapter("sample")
    registry._paths.cache_clear()
    registry.adapter.cache_clear()
