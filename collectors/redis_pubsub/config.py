"""What it takes to reach a Redis server and what to observe there."""

from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict

from eventhub.brokers.config import BrokerConfig

__all__ = ["Endpoint", "RedisPubSubConfig"]

_SENTINEL_PORT = 26379
_PORT = 6379
_MORE: JsonDict = {"group": "more"}
_SENTINEL: JsonDict = {"when": {"deployment": ["sentinel"]}}
_TLS: JsonDict = {**_MORE, "when": {"tls": ["on"]}}


class Endpoint(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class RedisPubSubConfig(BrokerConfig):
    """There is no database number: Pub/Sub does not know databases."""

    deployment: Literal["single", "sentinel", "cluster"] = Field(
        default="single",
        title="Deployment",
        description=(
            "single: one server. sentinel: Sentinels name the master, also after a failover."
            " cluster: the nodes of a Redis Cluster are learned from one of them."
        ),
    )
    host: str = Field(
        default="",
        title="Host",
        description="Name or address of the Redis or Valkey server.",
        examples=["redis.example.com"],
        max_length=255,
        json_schema_extra={"when": {"deployment": ["single"]}},
    )
    port: int = Field(
        default=_PORT,
        title="Port",
        description="Usually 6379. A port that speaks TLS is another one.",
        examples=[6379, 6380],
        ge=1,
        le=65535,
        json_schema_extra={"when": {"deployment": ["single"]}},
    )
    sentinels: list[str] = Field(
        default=[],
        title="Sentinels",
        description=(
            "As host:port; the port is 26379 unless it is given. They are asked in this order until"
            " one answers, so name them all."
        ),
        examples=[["sentinel1.example.com:26379", "sentinel2.example.com:26379"]],
        max_length=50,
        json_schema_extra=_SENTINEL,
    )
    master_name: str = Field(
        default="mymaster",
        title="Master name",
        description="What the Sentinels call the master (`sentinel monitor` in their settings).",
        examples=["mymaster"],
        json_schema_extra=_SENTINEL,
    )
    sentinel_user: str = Field(
        default="",
        title="Sentinel user",
        description="ACL user of the Sentinels. Empty: their default user.",
        examples=["eventhub"],
        json_schema_extra={**_MORE, **_SENTINEL},
    )
    sentinel_password: SecretStr | None = Field(
        default=None,
        title="Sentinel password",
        description="Where the Sentinels ask for one; it is not the master's.",
        json_schema_extra={**_MORE, **_SENTINEL},
    )
    sentinel_tls: bool = Field(
        default=False,
        title="Sentinel TLS",
        description="Whether the Sentinels speak TLS, with the files that are given for TLS.",
        json_schema_extra={**_MORE, **_SENTINEL},
    )
    nodes: list[str] = Field(
        default=[],
        title="Cluster nodes",
        description=(
            "Some nodes as host:port, to begin with; the port is 6379 unless it is given. The"
            " others are learned from the first that answers."
        ),
        examples=[["redis1.example.com:6379", "redis2.example.com:6379"]],
        max_length=50,
        json_schema_extra={"when": {"deployment": ["cluster"]}},
    )
    tls: bool = Field(
        default=False,
        title="TLS",
        description=(
            "Whether the server's port speaks TLS. The server's certificate is verified; behind"
            " Sentinels and in a cluster it must be for the address that these announce."
        ),
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description=(
            "PEM file, on the machine of the collectors, with the authority that signed the"
            " server's certificate. Empty: the authorities that this machine trusts."
        ),
        examples=["/etc/ssl/redis-ca.pem"],
        json_schema_extra=_TLS,
    )
    client_certificate_file: str = Field(
        default="",
        title="Client certificate file",
        description="PEM file, on the machine of the collectors, if the server asks for one.",
        examples=["/etc/ssl/eventhub.pem"],
        json_schema_extra=_TLS,
    )
    client_key_file: str = Field(
        default="",
        title="Client key file",
        description="PEM file with its private key. Empty: it is in the certificate's file.",
        examples=["/etc/ssl/eventhub-key.pem"],
        json_schema_extra=_TLS,
    )
    client_key_password: SecretStr | None = Field(
        default=None,
        title="Client key password",
        description="Where the key file is encrypted.",
        json_schema_extra=_TLS,
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
            " Redis 7 or Valkey."
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
            " in every mode."
        ),
        examples=[["jobs", "audit"]],
        json_schema_extra={"destinations": ["stream"]},
        max_length=1_000,
    )
    lists: list[str] = Field(
        default=[],
        title="Lists",
        description=(
            "Names of lists that are work queues: what the modes browse and consume read, and whose"
            " length is measured in every mode."
        ),
        examples=[["queue:mail", "celery"]],
        json_schema_extra={"destinations": ["list"]},
        max_length=100,
    )
    list_end: Literal["right", "left"] = Field(
        default="right",
        title="Lists: oldest at",
        description=(
            "The end that consumers take from. right: producers LPUSH and consumers BRPOP (Celery,"
            " Sidekiq). left: producers RPUSH and consumers BLPOP (RQ, Resque)."
        ),
        json_schema_extra={**_MORE, "when": {"mode": ["browse", "consume"]}},
    )
    browse_seconds: float = Field(
        default=1.0,
        title="Browse: every",
        description="Seconds between two looks into each list.",
        examples=[1, 5],
        ge=0.1,
        le=3600,
        json_schema_extra={**_MORE, "when": {"mode": ["browse"]}},
    )
    dead_letters: list[str] = Field(
        default=[],
        title="Dead-letter streams",
        description="Streams to which the consumers add what they give up on.",
        examples=[["orders.dead-letters"]],
        json_schema_extra=_MORE,
        max_length=1_000,
    )
    mode: Literal["tap", "log", "browse", "consume"] = Field(
        default="tap",
        title="Observe by",
        description=(
            "tap: a subscription of our own to channels. log: reads streams. browse: looks into"
            " lists. consume: takes from lists."
        ),
    )

    @field_validator(
        "host", "user", "sentinel_user", "master_name", "ca_file", "client_certificate_file",
        "client_key_file", mode="after",
    )  # fmt: skip
    @classmethod
    def _without_blanks(cls, text: str) -> str:
        return text.strip()

    @field_validator(
        "patterns", "sharded_channels", "streams", "lists", "dead_letters", mode="after"
    )
    @classmethod
    def _each_once(cls, texts: list[str]) -> list[str]:
        return list(dict.fromkeys(text for text in texts if text.strip()))

    @field_validator("sentinels", mode="after")
    @classmethod
    def _sentinel_addresses(cls, texts: list[str]) -> list[str]:
        return [str(_endpoint(text, _SENTINEL_PORT)) for text in texts if text.strip()]

    @field_validator("nodes", mode="after")
    @classmethod
    def _node_addresses(cls, texts: list[str]) -> list[str]:
        return [str(_endpoint(text, _PORT)) for text in texts if text.strip()]

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.deployment == "single" and not self.host:
            raise ValueError("Give the server's host.")
        if self.deployment == "sentinel" and not (self.sentinels and self.master_name):
            raise ValueError("Give at least one Sentinel, and the master's name.")
        if self.deployment == "cluster" and not self.nodes:
            raise ValueError("Give at least one node of the cluster.")
        return self

    @model_validator(mode="after")
    def _observes_something(self) -> Self:
        if self.mode == "log" and not self.streams:
            raise ValueError("Name at least one stream to read.")
        if self.mode in ("browse", "consume") and not self.lists:
            raise ValueError("Name at least one list to read.")
        if self.mode == "tap" and not self.patterns and not self.sharded_channels:
            raise ValueError("Give at least one channel pattern (* for all) or sharded channel.")
        return self

    def entrances(self) -> list[Endpoint]:
        """Where to begin: the server, the Sentinels, or some nodes of the cluster."""
        if self.deployment == "sentinel":
            return [_endpoint(text, _SENTINEL_PORT) for text in self.sentinels]
        if self.deployment == "cluster":
            return [_endpoint(text, _PORT) for text in self.nodes]
        return [Endpoint(self.host, self.port)]

    def address(self) -> str:
        first, *others = self.entrances()
        where = f"{first} and {len(others)} more" if others else str(first)
        return f"{self.master_name} by {where}" if self.deployment == "sentinel" else where

    def secrets_go_to(self) -> list[str]:
        """Sentinels and nodes name further servers, which get the password too."""
        entrances = [str(each) for each in self.entrances()]
        return [*entrances, self.master_name] if self.deployment == "sentinel" else entrances


def _endpoint(text: str, port: int) -> Endpoint:
    """`host`, `host:port` or `[address]:port`. Raises ValueError."""
    try:
        parts = urlsplit(f"//{text.strip()}")
        found = Endpoint(parts.hostname or "", parts.port or port)
    except ValueError as error:
        raise ValueError(f"{text!r} is no host:port: {error}.") from error
    if not found.host or parts.path or parts.username:
        raise ValueError(f"{text!r} is no host:port.")
    return found
