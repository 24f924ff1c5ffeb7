"""What it takes to reach a Kafka cluster, and which topics to observe."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict

from eventhub.brokers.config import BrokerConfig

__all__ = ["Authentication", "KafkaConfig"]

Authentication = Literal[
    "none", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "client certificate"
]
_DEFAULT_PORT = 9092
_MORE: JsonDict = {"group": "more"}


class KafkaConfig(BrokerConfig):
    """Flat: it is the form of the Sources page and the schema of `sources.yaml`."""

    bootstrap_servers: list[str] = Field(
        title="Bootstrap servers",
        description=(
            "One or more brokers as host:port; the others are learned from them. The port is 9092"
            " unless it is given."
        ),
        examples=[["kafka1.example.com:9092", "kafka2.example.com:9092"]],
        min_length=1,
        max_length=50,
        json_schema_extra={"group": "connection"},
    )
    topics: list[str] = Field(
        default=[],
        title="Topics",
        description=(
            "Names, or patterns: * is any text, ? one character, [ab] one of these. A pattern"
            " takes topics in that appear later, and never Kafka's own (__…)."
        ),
        examples=[["orders.*", "payments"]],
        json_schema_extra={"destinations": ["topic"]},
        max_length=1_000,
    )
    authentication: Authentication = Field(
        default="none",
        title="Sign in by",
        description="What the listener asks for. PLAIN and SCRAM take a user and a password.",
    )
    user: str = Field(
        default="",
        title="User",
        description="For PLAIN and SCRAM.",
        examples=["eventhub"],
        json_schema_extra={"when": {"authentication": ["plain", "scram-sha-256", "scram-sha-512"]}},
    )
    password: SecretStr | None = Field(
        default=None,
        title="Password",
        description="For PLAIN and SCRAM.",
        json_schema_extra={"when": {"authentication": ["plain", "scram-sha-256", "scram-sha-512"]}},
    )
    tls: bool = Field(
        default=False,
        title="TLS",
        description=(
            "Whether the listener speaks TLS (SSL, SASL_SSL). The brokers' certificates and names"
            " are verified."
        ),
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description=(
            "PEM file, on the machine of the collectors, with the authority that signed the"
            " brokers' certificates. Empty: the authorities that this machine trusts."
        ),
        examples=["/etc/ssl/kafka-ca.pem"],
        json_schema_extra={**_MORE, "when": {"tls": ["on"]}},
    )
    client_certificate_file: str = Field(
        default="",
        title="Client certificate file",
        description="PEM file, on the machine of the collectors.",
        examples=["/etc/ssl/eventhub.pem"],
        json_schema_extra={**_MORE, "when": {"tls": ["on"]}},
    )
    client_key_file: str = Field(
        default="",
        title="Client key file",
        description="PEM file with the certificate's private key.",
        examples=["/etc/ssl/eventhub-key.pem"],
        json_schema_extra={**_MORE, "when": {"tls": ["on"]}},
    )
    client_key_password: SecretStr | None = Field(
        default=None,
        title="Client key password",
        description="Where the key file is encrypted.",
        json_schema_extra={**_MORE, "when": {"tls": ["on"]}},
    )
    token_endpoint: str = Field(
        default="",
        title="Token endpoint",
        description="For OAUTHBEARER: where a token is asked for (OpenID Connect).",
        examples=["https://login.example.com/oauth2/token"],
        json_schema_extra={**_MORE, "when": {"authentication": ["oauthbearer"]}},
    )
    client_id: str = Field(
        default="",
        title="Client ID",
        description="For OAUTHBEARER: who asks for the token (client credentials).",
        json_schema_extra={**_MORE, "when": {"authentication": ["oauthbearer"]}},
    )
    client_secret: SecretStr | None = Field(
        default=None,
        title="Client secret",
        description="For OAUTHBEARER.",
        json_schema_extra={**_MORE, "when": {"authentication": ["oauthbearer"]}},
    )
    scope: str = Field(
        default="",
        title="Scope",
        description="For OAUTHBEARER, where the token endpoint asks for one.",
        examples=["kafka"],
        json_schema_extra={**_MORE, "when": {"authentication": ["oauthbearer"]}},
    )
    dead_letter_topics: list[str] = Field(
        default=["*.DLT", "*-dlt", "*.dlq", "*-dlq", "dlq-*"],
        title="Dead-letter topics",
        description="Names or patterns of the topics to which consumers write what they give up.",
        examples=[["*.DLT", "orders-failed"]],
        json_schema_extra=_MORE,
        max_length=1_000,
    )
    collectors: int = Field(
        default=1,
        title="Collectors",
        description=(
            "How many processes share the partitions, on one host or on several. Each reads its own"
            " ones; more than there are partitions have nothing to do."
        ),
        ge=1,
        le=16,
        json_schema_extra=_MORE,
    )
    mode: Literal["log"] = Field(
        default="log",
        title="Observe by",
        description="Reads the log with offsets of our own; joins no group, commits nothing.",
    )

    @field_validator("bootstrap_servers", mode="after")
    @classmethod
    def _are_addresses(cls, texts: list[str]) -> list[str]:
        given = [each.strip() for text in texts for each in text.split(",") if each.strip()]
        if not given:
            raise ValueError("Give at least one broker as host:port.")
        return list(dict.fromkeys(_address(text) for text in given))

    @field_validator("topics", "dead_letter_topics", mode="after")
    @classmethod
    def _each_once(cls, texts: list[str]) -> list[str]:
        return list(dict.fromkeys(text.strip() for text in texts if text.strip()))

    @field_validator(
        "user", "ca_file", "client_certificate_file", "client_key_file", "token_endpoint",
        "client_id", "scope", mode="after",
    )  # fmt: skip
    @classmethod
    def _without_blanks(cls, text: str) -> str:
        return text.strip()

    @model_validator(mode="after")
    def _has_what_signing_in_needs(self) -> "KafkaConfig":
        if self.needs_password() and not (self.user and self.password):
            raise ValueError("Signing in by PLAIN or SCRAM needs a user and a password.")
        if self.authentication == "client certificate" and not self.client_certificate_file:
            raise ValueError("Signing in by client certificate needs its file.")
        if self.authentication == "client certificate" and not self.tls:
            raise ValueError("Signing in by client certificate needs TLS.")
        if self.authentication == "oauthbearer":
            if not (self.client_id and self.client_secret):
                raise ValueError("Signing in by OAUTHBEARER needs a client ID and its secret.")
            if urlsplit(self.token_endpoint).scheme not in ("http", "https"):
                raise ValueError("Signing in by OAUTHBEARER needs a token endpoint, https://….")
        return self

    @property
    def shares(self) -> int:
        return self.collectors

    def needs_password(self) -> bool:
        return self.authentication in ("plain", "scram-sha-256", "scram-sha-512")

    def hosts(self) -> list[tuple[str, int]]:
        """Host and port of each bootstrap server."""
        return [_host_and_port(server) for server in self.bootstrap_servers]

    def address(self) -> str:
        return ", ".join(self.bootstrap_servers)

    def secrets_go_to(self) -> list[str]:
        places = list(self.bootstrap_servers)
        return [*places, self.token_endpoint] if self.token_endpoint else places


def _address(text: str) -> str:
    """`host:port`, with the port given and an IPv6 address in brackets."""
    # Kafka's own settings prefix the protocol; people paste it.
    host, port = _host_and_port(text.rpartition("://")[2])
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host_and_port(text: str) -> tuple[str, int]:
    wrong = ValueError(f"{text!r} is no address: write host:port.")
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError:
        raise wrong from None
    if not host or parts.path or parts.query or parts.username:
        raise wrong
    return host, port
