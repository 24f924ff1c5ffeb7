"""What it takes to reach a Service Bus namespace, and what to observe there."""

from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict

from eventhub.brokers.config import BrokerConfig

__all__ = ["AzureServiceBusConfig", "endpoint"]

_MORE: Final[JsonDict] = {"group": "more"}


class AzureServiceBusConfig(BrokerConfig):
    """Of the authentication fields only those of the chosen authentication are used."""

    authentication: Literal[
        "connection string",
        "shared access key",
        "entra client secret",
        "entra managed identity",
        "entra default",
    ] = Field(
        default="connection string",
        title="Authentication",
        description=(
            "How EventHub proves who it is: a connection string or a shared access key of the"
            " namespace, or Microsoft Entra: an app registration with a client secret, the managed"
            " identity of the machine, or whatever the environment offers (DefaultAzureCredential)."
        ),
    )
    connection_string: SecretStr | None = Field(
        default=None,
        title="Connection string",
        description=(
            "Of the namespace, from 'Shared access policies'. For 'connection string' only; it"
            " names the namespace too."
        ),
        examples=[
            "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=eventhub;"
            "SharedAccessKey=…"
        ],
        json_schema_extra={"when": {"authentication": ["connection string"]}},
    )
    namespace: str = Field(
        default="",
        title="Namespace",
        description="Full name of the namespace. Needed unless a connection string names it.",
        examples=["shop.servicebus.windows.net"],
        max_length=253,
        json_schema_extra={
            "when": {
                "authentication": [
                    "shared access key",
                    "entra client secret",
                    "entra managed identity",
                    "entra default",
                ]
            }
        },
    )
    key_name: str = Field(
        default="",
        title="Key name",
        description="Name of the shared access policy. For 'shared access key' only.",
        examples=["eventhub"],
        json_schema_extra={"when": {"authentication": ["shared access key"]}},
    )
    key: SecretStr | None = Field(
        default=None,
        title="Key",
        description="Its key. For 'shared access key' only.",
        json_schema_extra={"when": {"authentication": ["shared access key"]}},
    )
    tenant_id: str = Field(
        default="",
        title="Tenant id",
        description="Directory (tenant) of the app registration. For 'entra client secret' only.",
        examples=["72f988bf-86f1-41af-91ab-2d7cd011db47"],
        json_schema_extra={"when": {"authentication": ["entra client secret"]}},
    )
    client_id: str = Field(
        default="",
        title="Client id",
        description=(
            "Application (client) id for 'entra client secret'; for 'entra managed identity' that"
            " of a user-assigned identity, empty for the machine's own."
        ),
        examples=["1f3a9a4e-7d0b-4a55-9d9e-2f4c3b1f7a11"],
        json_schema_extra={
            "when": {"authentication": ["entra client secret", "entra managed identity"]}
        },
    )
    client_secret: SecretStr | None = Field(
        default=None,
        title="Client secret",
        description="Of the app registration. For 'entra client secret' only.",
        json_schema_extra={"when": {"authentication": ["entra client secret"]}},
    )
    mode: Literal["tap", "browse", "consume"] = Field(
        default="tap",
        title="Observe by",
        description=(
            "tap: an own subscription on each topic gets a copy of every message. browse: peek at"
            " what waits in queues and subscriptions, and take nothing. consume: receive and"
            " REMOVE messages from queues and subscriptions."
        ),
    )
    topics: list[str] = Field(
        default=[],
        title="Topics",
        description="Topics to tap.",
        examples=[["orders", "payments"]],
        json_schema_extra={"when": {"mode": ["tap"]}, "destinations": ["topic"]},
        max_length=100,
    )
    entities: list[str] = Field(
        default=[],
        title="Queues and subscriptions",
        description=(
            "What to browse or to consume: names of queues, and topic/Subscriptions/name for"
            " subscriptions. /$DeadLetterQueue behind one of these is its dead-letter queue."
        ),
        examples=[["invoices", "orders/Subscriptions/billing"]],
        json_schema_extra={
            "when": {"mode": ["browse", "consume"]},
            "destinations": ["queue", "subscription", "dead-letter queue"],
        },
        max_length=100,
    )
    subscription: str = Field(
        default="",
        title="Tap: prepared subscription",
        description=(
            "Name of a subscription that somebody made for EventHub on each of the topics, where"
            " EventHub may not make its own. Nobody else may read it. Empty: EventHub makes one,"
            " for which it needs the right 'Manage'."
        ),
        examples=["eventhub"],
        max_length=50,
        json_schema_extra={**_MORE, "when": {"mode": ["tap"]}},
    )
    tap_keep_minutes: int = Field(
        default=60,
        ge=5,
        le=10_080,
        title="Tap: kept for",
        description=(
            "Minutes that the broker keeps messages for EventHub in a subscription that it made,"
            " and the subscription without EventHub. What waits there counts towards the size of"
            " the topic, which producers share."
        ),
        examples=[60],
        json_schema_extra={**_MORE, "when": {"mode": ["tap"]}},
    )
    lock_seconds: int = Field(
        default=60,
        ge=5,
        le=300,
        title="Tap: lock",
        description=(
            "Seconds after which the broker gives out again what a crashed collector had received."
        ),
        examples=[60],
        json_schema_extra={**_MORE, "when": {"mode": ["tap"]}},
    )
    browse_seconds: float = Field(
        default=2.0,
        ge=0.1,
        le=3600,
        title="Browse: every",
        description="Seconds between two looks at a queue or subscription.",
        examples=[2.0],
        json_schema_extra={**_MORE, "when": {"mode": ["browse"]}},
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description=(
            "PEM file, on the machine of the collectors, of the authority that signed the"
            " namespace's certificate. Empty: the usual public authorities."
        ),
        examples=["/etc/ssl/proxy-ca.pem"],
        json_schema_extra=_MORE,
    )
    administration_url: str = Field(
        default="",
        title="Administration URL",
        description=(
            "Where the administration API is: entities, rules and counts. Empty: https and the"
            " namespace; for the emulator http and port 5300."
        ),
        examples=["https://shop.servicebus.windows.net"],
        json_schema_extra=_MORE,
    )

    @field_validator("namespace", "key_name", "tenant_id", "client_id", "subscription", "ca_file")
    @classmethod
    def _without_blanks(cls, text: str) -> str:
        return text.strip()

    @field_validator("topics", "entities")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        return list(dict.fromkeys(name.strip().strip("/") for name in names if name.strip()))

    @field_validator("administration_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("Begin with http:// or https://.")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _can_sign_in(self) -> Self:
        needed = {
            "connection string": (),
            "shared access key": ("namespace", "key_name"),
            "entra client secret": ("namespace", "tenant_id", "client_id"),
        }.get(self.authentication, ("namespace",))
        for name in needed:
            if not getattr(self, name):
                title = type(self).model_fields[name].title
                raise ValueError(f"{title} is needed for {self.authentication!r}.")
        return self

    def address(self) -> str:
        if self.authentication != "connection string" or self.connection_string is None:
            return self.namespace
        return endpoint(self.connection_string.get_secret_value()) or self.namespace

    def secrets_go_to(self) -> list[str]:
        return [self.address(), *([self.administration_url] if self.administration_url else [])]


def endpoint(connection_string: str) -> str:
    """Host, and port where one is given, of a connection string; empty where it names none."""
    for part in connection_string.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "endpoint":
            return value.split("://", 1)[-1].strip("/ ")
    return ""
