"""What it takes to reach a Redis server and what to observe there."""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from eventhub.brokers.config import BrokerConfig

__all__ = ["RedisPubSubConfig"]


class RedisPubSubConfig(BrokerConfig):
    """There is no database number: Pub/Sub does not know databases."""

    host: str = Field(
        title="Host",
        description="Name or address of the Redis or Valkey server.",
        examples=["redis.example.com"],
        min_length=1,
        max_length=255,
    )
    port: int = Field(
        default=6379,
        title="Port",
        description="Usually 6379. A port that speaks TLS is another one.",
        examples=[6379, 6380],
        ge=1,
        le=65535,
    )
    tls: bool = Field(
        default=False,
        title="TLS",
        description="Whether this port speaks TLS. The server's certificate is verified.",
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description=(
            "PEM file, on the machine of the collectors, with the authority that signed the"
            " server's certificate. Empty: the authorities that this machine trusts."
        ),
        examples=["/etc/ssl/redis-ca.pem"],
        json_schema_extra={"group": "more", "when": {"tls": ["on"]}},
    )
    user: str = Field(
        default="",
        title="User",
        description="ACL user (Redis 6 and later). Empty: the server's default user.",
        examples=["eventhub"],
    )
    password: SecretStr | None = Field(
        default=None, title="Password", description="Leave it empty where the server asks for none."
    )
    patterns: list[str] = Field(
        default=["*"],
        title="Channel patterns",
        description=(
            "Channels to observe, as PSUBSCRIBE takes them: * is any text, ? one character,"
            " [ab] one of these, \\ takes the next one literally. A message that several patterns"
            " match is one event."
        ),
        examples=[["orders.*", "payments.*"]],
        json_schema_extra={"destinations": ["pattern", "channel"], "when": {"mode": ["tap"]}},
        max_length=1_000,
    )
    sharded_channels: list[str] = Field(
        default=[],
        title="Sharded channels",
        description=(
            "Names of sharded channels (SPUBLISH, SSUBSCRIBE), without wildcards. They need"
            " Redis 7 or Valkey; in a cluster, all of them on the node given here."
        ),
        examples=[["ticks.eu"]],
        json_schema_extra={"destinations": ["sharded channel"], "when": {"mode": ["tap"]}},
        max_length=1_000,
    )
    streams: list[str] = Field(
        default=[],
        title="Streams",
        description=(
            "Names of streams: what the mode log reads, and whose length and groups are measured"
            " in every mode. Of lists the length is measured."
        ),
        examples=[["jobs", "audit"]],
        json_schema_extra={"destinations": ["stream"]},
        max_length=1_000,
    )
    dead_letters: list[str] = Field(
        default=[],
        title="Dead-letter streams",
        description="Streams to which the consumers add what they give up on.",
        examples=[["orders.dead-letters"]],
        json_schema_extra={"group": "more"},
        max_length=1_000,
    )
    mode: Literal["tap", "log"] = Field(
        default="tap",
        title="Observe by",
        description="tap: a subscription of our own to channels. log: reads streams.",
    )

    @field_validator("host", "user", "ca_file", mode="after")
    @classmethod
    def _without_blanks(cls, text: str) -> str:
        return text.strip()

    @field_validator("patterns", "sharded_channels", "streams", "dead_letters", mode="after")
    @classmethod
    def _each_once(cls, texts: list[str]) -> list[str]:
        return list(dict.fromkeys(text for text in texts if text.strip()))

    @model_validator(mode="after")
    def _observes_something(self) -> Self:
        if self.mode == "log":
            if not self.streams:
                raise ValueError("Name at least one stream to read.")
        elif not self.patterns and not self.sharded_channels:
            raise ValueError("Give at least one channel pattern (* for all) or sharded channel.")
        return self

    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
