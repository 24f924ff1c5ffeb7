"""What it takes to reach a RabbitMQ, and which exchanges to observe."""

from typing import Final, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict

from eventhub.brokers.config import BrokerConfig

__all__ = ["EXCHANGE_TYPES", "TRACER", "RabbitMQConfig"]

EXCHANGE_TYPES: Final = ("topic", "fanout", "headers", "direct")
"""Those that EventHub can bind a queue to."""
TRACER: Final = "amq.rabbitmq.trace"
"""The exchange of the firehose."""
_BY_PASSWORD: Final[JsonDict] = {"when": {"authentication": ["password"]}}
_BY_CERTIFICATE: Final[JsonDict] = {"when": {"authentication": ["client certificate"]}}
_OWN_QUEUE: Final[JsonDict] = {"mode": ["tap", "firehose"]}


class RabbitMQConfig(BrokerConfig):
    """Flat: it is the form of the Sources page and the schema of `sources.yaml`."""

    host: str = Field(
        default="localhost",
        min_length=1,
        max_length=253,
        title="Host",
        description="Name or address of a RabbitMQ node or of the load balancer before it.",
        examples=["rabbitmq.example.com", "10.0.0.5"],
    )
    port: int = Field(
        default=5672,
        ge=1,
        le=65535,
        title="Port",
        description="AMQP port: usually 5672, with TLS 5671.",
        examples=[5672, 5671],
    )
    tls: bool = Field(
        default=False,
        title="TLS",
        description="Encrypt the connection and check the certificate of the broker.",
        examples=[True],
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description="Path, on the collectors' host, of the authority's certificates in PEM format."
        " Empty: those of the operating system.",
        examples=["/etc/eventhub/rabbitmq-ca.pem"],
        json_schema_extra={"group": "more", "when": {"tls": ["on"]}},
    )
    client_certificate_file: str = Field(
        default="",
        title="Client certificate file",
        description="Path of a certificate in PEM format, if the broker asks clients for one.",
        examples=["/etc/eventhub/client.pem"],
        json_schema_extra={"group": "more", "when": {"tls": ["on"]}},
    )
    client_key_file: str = Field(
        default="",
        title="Client key file",
        description="Path of its private key. Empty: the key is in the certificate's file.",
        examples=["/etc/eventhub/client-key.pem"],
        json_schema_extra={"group": "more", "when": {"tls": ["on"]}},
    )
    authentication: Literal["password", "client certificate"] = Field(
        default="password",
        title="Sign in by",
        description="A client certificate signs in by SASL EXTERNAL, with TLS on; the broker's"
        " plugin rabbitmq_auth_mechanism_ssl makes a user name of it.",
        examples=["password"],
    )
    user: str = Field(
        default="guest",
        min_length=1,
        title="User",
        description="A user of its own is best; the connection test tells what it must be allowed.",
        examples=["eventhub"],
        json_schema_extra=_BY_PASSWORD,
    )
    password: SecretStr = Field(
        default=SecretStr(""),
        title="Password",
        description="Kept encrypted and never shown.",
        examples=["a long random text"],
        json_schema_extra=_BY_PASSWORD,
    )
    api_user: str = Field(
        default="",
        title="API user",
        description="The management API takes no certificate: a user with the tag `management`."
        " Empty: EventHub works without the API, and so without depths and discovery.",
        examples=["eventhub-api"],
        json_schema_extra=_BY_CERTIFICATE,
    )
    api_password: SecretStr = Field(
        default=SecretStr(""),
        title="API password",
        description="Of the API user. Kept encrypted and never shown.",
        examples=["a long random text"],
        json_schema_extra=_BY_CERTIFICATE,
    )
    virtual_host: str = Field(
        default="/",
        min_length=1,
        title="Virtual host",
        description="The virtual host whose exchanges to observe.",
        examples=["/", "shop"],
    )
    management_url: str = Field(
        default="",
        title="Management URL",
        description="Where the management plugin's HTTP API is. It lists the exchanges, finds the"
        " routing keys of direct exchanges, and counts what a tap had to drop. Empty: port 15672"
        " of the host, with TLS https and port 15671.",
        examples=["http://rabbitmq.example.com:15672"],
        json_schema_extra={"group": "more"},
    )
    exchanges: list[str] = Field(
        default=[],
        title="Exchanges",
        description="Names of the topic, direct, fanout or headers exchanges to observe. Empty, in"
        " the mode firehose: all of the virtual host, the default exchange too.",
        examples=[["orders", "payments"]],
        json_schema_extra={
            "destinations": [f"{kind} exchange" for kind in EXCHANGE_TYPES],
            "when": _OWN_QUEUE,
        },
    )
    routing_keys: list[str] = Field(
        default=[],
        title="Routing keys",
        description="Only messages with these keys, from topic (with * and #) and direct"
        " exchanges. Empty: all of a topic exchange, and of a direct exchange the keys that"
        " other queues are bound with.",
        examples=[["order.*", "payment.#"]],
        json_schema_extra={"when": {"mode": ["tap"]}},
    )
    streams: list[str] = Field(
        default=[],
        title="Streams",
        description="Names of the stream queues to read as a log.",
        examples=[["audit"]],
        json_schema_extra={"destinations": ["stream queue"], "when": {"mode": ["log"]}},
    )
    queues: list[str] = Field(
        default=[],
        title="Queues to consume",
        description="Names of the queues whose messages EventHub takes.",
        examples=[["orders.invalid"]],
        json_schema_extra={
            "destinations": ["classic queue", "quorum queue"],
            "when": {"mode": ["consume"]},
        },
    )
    mode: Literal["tap", "log", "firehose", "consume"] = Field(
        default="tap",
        title="Mode",
        description="tap: a copy of each message goes to a bounded queue of EventHub's own. log:"
        " reads stream queues. firehose: copies from RabbitMQ's tracer, which SLOWS the node."
        " consume: TAKES the messages of queues.",
        examples=["tap"],
    )
    tap_max_messages: int = Field(
        default=100_000,
        ge=1,
        le=100_000_000,
        title="Tap: most messages",
        description="How many messages may wait for EventHub on the broker. Above that the oldest"
        " are dropped, which the history shows as a gap.",
        examples=[100_000],
        json_schema_extra={"group": "more", "when": _OWN_QUEUE},
    )
    tap_max_mib: int = Field(
        default=256,
        ge=1,
        le=1_048_576,
        title="Tap: most MiB",
        description="How much may wait for EventHub on the broker, in MiB of payload.",
        examples=[256],
        json_schema_extra={"group": "more", "when": _OWN_QUEUE},
    )
    tap_expires_minutes: int = Field(
        default=30,
        ge=1,
        le=10_080,
        title="Tap: expires after",
        description="Minutes without EventHub after which the broker removes the tap by itself.",
        examples=[30],
        json_schema_extra={"group": "more", "when": _OWN_QUEUE},
    )

    @field_validator("exchanges", "routing_keys", "streams", "queues")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
        for name in names:
            if len(name.encode()) > 255:
                raise ValueError("AMQP names and keys have 255 bytes at most.")
        return names

    @field_validator("management_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("Begin with http:// or https://.")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _files_need_tls(self) -> "RabbitMQConfig":
        if not self.tls and (self.ca_file or self.client_certificate_file):
            raise ValueError("Certificate files are used only with TLS: turn TLS on.")
        if self.client_key_file and not self.client_certificate_file:
            raise ValueError("A client key needs its client certificate.")
        if self.authentication == "client certificate" and not self.client_certificate_file:
            raise ValueError("To sign in by it, turn TLS on and set the client certificate file.")
        return self

    def address(self) -> str:
        return f"{self.host}:{self.port}/{quote(self.virtual_host, safe='')}"

    def secrets_go_to(self) -> list[str]:
        return [self.address(), self.management()]

    def taps(self) -> bool:
        """Whether the mode has a queue of EventHub's own on the broker."""
        return self.mode in ("tap", "firehose")

    def management_login(self) -> tuple[str, str]:
        """User and password for the management API; an empty user where none is given."""
        if self.authentication == "password":
            return self.user, self.password.get_secret_value()
        return self.api_user, self.api_password.get_secret_value()

    def management(self) -> str:
        """Base URL of the management API, guessed where it is not given."""
        if self.management_url:
            return self.management_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:15671" if self.tls else f"http://{host}:15672"
