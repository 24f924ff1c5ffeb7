"""What it takes to reach Amazon SQS, and what to observe there."""

from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict

from eventhub.brokers.config import BrokerConfig

__all__ = ["SQSConfig"]

_MORE: Final[JsonDict] = {"group": "more"}


class SQSConfig(BrokerConfig):
    region: str = Field(
        default="",
        title="Region",
        description="Empty: what the environment or the profile of the collectors says.",
        examples=["eu-west-1"],
        pattern=r"^[a-z0-9-]*$",
    )
    endpoint_url: str = Field(
        default="",
        title="Endpoint URL",
        description="Where SQS, SNS, EventBridge and STS answer, if not at Amazon's own addresses:"
        " an emulator, or an interface endpoint.",
        examples=["http://localhost:9324"],
        json_schema_extra=_MORE,
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description="PEM file, on the machine of the collectors, with the authority that signed"
        " the endpoint's certificate. Empty: the authorities that the AWS client brings.",
        examples=["/etc/ssl/endpoint-ca.pem"],
        json_schema_extra=_MORE,
    )
    authentication: Literal["default chain", "access key", "profile", "role", "web identity"] = (
        Field(
            default="default chain",
            title="Authentication",
            description="default chain: what the collectors' machine has (environment, profile,"
            " container or instance role). role: assumes the role with the access key, else with"
            " the profile, else with the default chain.",
        )
    )
    access_key_id: str = Field(
        default="",
        title="Access key ID",
        description="Of an IAM user.",
        examples=["AKIA…"],
        json_schema_extra={"when": {"authentication": ["access key", "role"]}},
    )
    secret_access_key: SecretStr | None = Field(
        default=None,
        title="Secret access key",
        description="Kept encrypted and never shown.",
        json_schema_extra={"when": {"authentication": ["access key", "role"]}},
    )
    session_token: SecretStr | None = Field(
        default=None,
        title="Session token",
        description="Only with a temporary access key. It expires, and then needs a person.",
        json_schema_extra={**_MORE, "when": {"authentication": ["access key", "role"]}},
    )
    profile: str = Field(
        default="",
        title="Profile",
        description="Name of a profile in ~/.aws of the user that the collectors run as.",
        examples=["eventhub"],
        json_schema_extra={"when": {"authentication": ["profile", "role"]}},
    )
    role_arn: str = Field(
        default="",
        title="Role ARN",
        description="The role to assume, with the authentications role and web identity.",
        examples=["arn:aws:iam::123456789012:role/eventhub"],
        json_schema_extra={"when": {"authentication": ["role", "web identity"]}},
    )
    external_id: str = Field(
        default="",
        title="External ID",
        description="If the role's trust policy asks for one.",
        json_schema_extra={**_MORE, "when": {"authentication": ["role"]}},
    )
    web_identity_token_file: str = Field(
        default="",
        title="Web identity token file",
        description="File with a token of an OpenID Connect provider, read again when needed.",
        examples=["/var/run/secrets/eks.amazonaws.com/serviceaccount/token"],
        json_schema_extra={**_MORE, "when": {"authentication": ["web identity"]}},
    )
    mode: Literal["tap", "consume"] = Field(
        default="tap",
        title="Observe by",
        description="tap: a queue of EventHub's own gets a copy. consume: TAKES the messages of the"
        " chosen queues; their own consumers do not get what EventHub took.",
    )
    topics: list[str] = Field(
        default=[],
        title="SNS topics",
        description="ARNs of the topics to which EventHub subscribes its own queue (mode tap).",
        examples=[["arn:aws:sns:eu-west-1:123456789012:orders"]],
        json_schema_extra={
            "when": {"mode": ["tap"]},
            "destinations": ["SNS topic", "SNS FIFO topic"],
        },
        max_length=200,
    )
    event_bus: str = Field(
        default="",
        title="EventBridge bus",
        description="Name or ARN of the bus from which a rule feeds EventHub's queue (mode tap).",
        examples=["default"],
        json_schema_extra={"when": {"mode": ["tap"]}},
    )
    event_pattern: str = Field(
        default="",
        title="Event pattern",
        description="Only events of the bus that match this JSON. Empty: all.",
        examples=['{"source": ["shop.orders"]}'],
        json_schema_extra={**_MORE, "when": {"mode": ["tap"]}},
    )
    tap_queue: str = Field(
        default="",
        title="Prepared tap queue",
        description="Name or URL of a queue that somebody prepared for EventHub and subscribed."
        " EventHub empties it, and makes no queue, subscription or rule.",
        examples=["orders-for-eventhub"],
        json_schema_extra={**_MORE, "when": {"mode": ["tap"]}},
    )
    delivery: Literal["envelope", "raw"] = Field(
        default="envelope",
        title="SNS delivery",
        description="envelope: the message comes with its topic and all attributes. raw: SNS"
        " discards messages with more than ten attributes, and the topic is not told.",
        json_schema_extra={**_MORE, "when": {"mode": ["tap"]}},
    )
    tap_retention_minutes: int = Field(
        default=1_440,
        ge=1,
        le=20_160,
        title="Tap: keeps messages for",
        description="Minutes that a message waits for EventHub. This bounds the queue.",
        json_schema_extra={**_MORE, "when": {"mode": ["tap"]}},
    )
    queues: list[str] = Field(
        default=[],
        title="Queues to consume",
        description="Names or URLs of queues that EventHub takes the messages of (mode consume).",
        examples=[["audit"]],
        json_schema_extra={"when": {"mode": ["consume"]}, "destinations": ["queue", "FIFO queue"]},
        max_length=50,
    )
    queue_prefix: str = Field(
        default="",
        title="Queues to measure",
        description="Only queues whose names begin so are listed and measured. Empty: all.",
        examples=["shop-"],
        json_schema_extra=_MORE,
    )
    receivers: int = Field(
        default=4,
        ge=1,
        le=16,
        title="Receivers",
        description="Requests at once for each queue while it is busy; an idle queue has one.",
        json_schema_extra=_MORE,
    )
    visibility_seconds: int = Field(
        default=60,
        ge=5,
        le=43_200,
        title="Visibility timeout",
        description="After how long a message comes again when EventHub ends without a word."
        " It is renewed while EventHub holds the message.",
        json_schema_extra=_MORE,
    )
    wait_seconds: int = Field(
        default=2,
        ge=0,
        le=20,
        title="Long poll",
        description="Seconds that a request waits for a first message. Longer costs fewer requests"
        " while idle, and makes a stop take as long. 0 asks ten times a second: for emulators.",
        json_schema_extra=_MORE,
    )

    @field_validator("topics", "queues", mode="after")
    @classmethod
    def _each_once(cls, texts: list[str]) -> list[str]:
        return list(dict.fromkeys(text.strip() for text in texts if text.strip()))

    @field_validator("topics", mode="after")
    @classmethod
    def _are_arns(cls, topics: list[str]) -> list[str]:
        for topic in topics:
            if not topic.startswith("arn:") or topic.count(":") != 5:
                raise ValueError("A topic is given by its ARN: arn:aws:sns:REGION:ACCOUNT:NAME.")
        return topics

    @field_validator("endpoint_url", mode="after")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("Begin with http:// or https://.")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _can_sign_in(self) -> Self:
        asked = self.authentication
        if asked == "access key" and not (self.access_key_id and self.secret_access_key):
            raise ValueError("An access key needs its ID and its secret.")
        if asked == "profile" and not self.profile:
            raise ValueError("Name the profile.")
        if asked in ("role", "web identity") and not self.role_arn:
            raise ValueError("Name the role by its ARN.")
        if asked == "web identity" and not self.web_identity_token_file:
            raise ValueError("Name the file that holds the token.")
        return self

    @model_validator(mode="after")
    def _knows_where_it_came_from(self) -> Self:
        if self.delivery == "raw" and len(self.topics) + bool(self.event_bus) > 1:
            raise ValueError(
                "Raw delivery does not tell the topic: choose envelope, or one topic a source."
            )
        return self

    def address(self) -> str:
        return self.endpoint_url or f"Amazon SQS in {self.region or 'the default region'}"

    def holds_access_key(self) -> bool:
        """Whether requests, or the assuming of the role, are signed with the access key here."""
        return self.authentication in ("access key", "role") and bool(
            self.access_key_id and self.secret_access_key
        )
