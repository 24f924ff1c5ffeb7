"""What it takes to reach an ActiveMQ broker, and what to observe there."""

from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict

from collectors.activemq.names import Name, covers, parse
from eventhub.brokers.config import BrokerConfig

__all__ = ["ActiveMQConfig"]

_MORE: Final[JsonDict] = {"group": "more"}
_PORTS: Final = {"amqp": (5672, 5671), "stomp": (61613, 61614), "mqtt": (1883, 8883)}
_CONSOLE_PORT: Final = 8161


class ActiveMQConfig(BrokerConfig):
    flavour: Literal["classic", "artemis"] = Field(
        default="classic",
        title="Broker",
        description="classic: ActiveMQ 5 and 6, and Amazon MQ for ActiveMQ. artemis: ActiveMQ"
        " Artemis, and Red Hat AMQ Broker.",
    )
    protocol: Literal["amqp", "stomp", "mqtt"] = Field(
        default="amqp",
        title="Protocol",
        description="amqp (AMQP 1.0) carries most and can browse; take it where the broker offers"
        " it. stomp has headers of text only; mqtt knows topics only, and no headers on Classic.",
    )
    host: str = Field(
        title="Host",
        description="Name or address of the broker.",
        examples=["activemq.example.com"],
        min_length=1,
        max_length=255,
    )
    port: int = Field(
        default=0,
        title="Port",
        description="0: the protocol's usual one: AMQP 5672 (with TLS 5671), STOMP 61613 (61614),"
        " MQTT 1883 (8883).",
        examples=[5672, 61613, 1883],
        ge=0,
        le=65535,
    )
    tls: bool = Field(
        default=False,
        title="TLS",
        description="Whether this port speaks TLS. The broker's certificate is verified.",
    )
    ca_file: str = Field(
        default="",
        title="CA file",
        description="PEM file, on the machine of the collectors, with the authority that signed"
        " the broker's certificate. Empty: the authorities that this machine trusts.",
        examples=["/etc/eventhub/activemq-ca.pem"],
        json_schema_extra=_MORE,
    )
    client_certificate_file: str = Field(
        default="",
        title="Client certificate file",
        description="PEM file, if the broker asks clients for a certificate.",
        examples=["/etc/eventhub/client.pem"],
        json_schema_extra=_MORE,
    )
    client_key_file: str = Field(
        default="",
        title="Client key file",
        description="PEM file of its private key. Empty: the key is in the certificate's file.",
        examples=["/etc/eventhub/client-key.pem"],
        json_schema_extra=_MORE,
    )
    user: str = Field(
        default="",
        title="User",
        description="Empty: anonymous, or by the client certificate.",
        examples=["eventhub"],
    )
    password: SecretStr | None = Field(
        default=None, title="Password", description="Kept encrypted and never shown."
    )
    jolokia_url: str = Field(
        default="",
        title="Jolokia URL",
        description="Where the broker's management over HTTP answers; depths and the list of"
        " destinations come from it. Empty: port 8161 of the host, /api/jolokia on Classic and"
        " /console/jolokia on Artemis.",
        examples=["http://activemq.example.com:8161/api/jolokia"],
        json_schema_extra=_MORE,
    )
    jolokia_user: str = Field(
        default="",
        title="Jolokia user",
        description="Empty: the same user and password as for messages.",
        examples=["monitor"],
        json_schema_extra=_MORE,
    )
    jolokia_password: SecretStr | None = Field(
        default=None,
        title="Jolokia password",
        description="Kept encrypted and never shown. Used with the Jolokia user.",
        json_schema_extra=_MORE,
    )
    mode: Literal["tap", "browse", "consume"] = Field(
        default="tap",
        title="Observe by",
        description="tap: subscribes to topics, takes nothing. browse: looks into queues again and"
        " again, takes nothing, misses what is consumed between looks. consume: takes the messages"
        " of queues away from their other consumers.",
    )
    destinations: list[str] = Field(
        default=[],
        title="Destinations",
        description="tap: topics, with wildcards (* is one word; the rest is > on Classic, # on"
        " Artemis). browse and consume: queues, each by its name. Names as EventHub shows them:"
        " topic://orders is a topic; a bare name is one in tap, and else a queue.",
        examples=[["topic://orders.>"], ["invoices"]],
        json_schema_extra={"destinations": ["topic", "multicast address", "queue"]},
        max_length=1_000,
    )
    browse_seconds: int = Field(
        default=5,
        title="Browse: every",
        description="Seconds between two looks into each queue.",
        examples=[5],
        ge=1,
        le=3600,
        json_schema_extra=_MORE,
    )
    dead_letter_queues: list[str] = Field(
        default=["ActiveMQ.DLQ", "DLQ", "DLQ.*", "*.DLQ", "ExpiryQueue"],
        title="Dead-letter queues",
        description="Names, with * for any text, of queues that hold dead letters. Those that the"
        " broker's settings name are found besides.",
        examples=[["ActiveMQ.DLQ", "DLQ.*"]],
        json_schema_extra=_MORE,
        max_length=1_000,
    )

    @field_validator("host", "user", "jolokia_user", "ca_file", mode="after")
    @classmethod
    def _without_blanks(cls, text: str) -> str:
        return text.strip()

    @field_validator("destinations", "dead_letter_queues", mode="after")
    @classmethod
    def _each_once(cls, texts: list[str]) -> list[str]:
        return list(dict.fromkeys(text.strip() for text in texts if text.strip()))

    @field_validator("jolokia_url", mode="after")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
            raise ValueError("Begin with http:// or https://, and name a host.")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.tls and (self.ca_file or self.client_certificate_file):
            raise ValueError("Certificate files are used only with TLS: turn TLS on.")
        if self.client_key_file and not self.client_certificate_file:
            raise ValueError("A client key needs its client certificate.")
        if self.mode == "browse" and self.protocol != "amqp":
            raise ValueError("Browsing needs AMQP: neither STOMP nor MQTT has it on both brokers.")
        if self.mode == "consume" and self.protocol == "mqtt":
            raise ValueError("MQTT knows no queues: consume with AMQP or STOMP.")
        wrong = [str(name) for name in self.names() if name.topic != (self.mode == "tap")]
        if wrong and self.mode == "tap":
            raise ValueError(f"{wrong[0]} is a queue: a tap subscribes to topics, browse looks.")
        if wrong:
            raise ValueError(f"{wrong[0]} is a topic: {self.mode} reads queues, tap topics.")
        return self

    @property
    def classic(self) -> bool:
        return self.flavour == "classic"

    def names(self) -> list[Name]:
        """The destinations, told apart; a bare name is a topic in tap and a queue else.

        A name that another one covers is left out: its messages would come twice.
        """
        found = [parse(text, bare_is_topic=self.mode == "tap") for text in self.destinations]
        found = list(dict.fromkeys(found))
        return [name for name in found if not any(self._within(name, each) for each in found)]

    def _within(self, name: Name, other: Name) -> bool:
        if name == other or not covers(other.text, name.text, classic=self.classic):
            return False
        # Of two that cover each other the first stays.
        return not covers(name.text, other.text, classic=self.classic) or other < name

    def real_port(self) -> int:
        return self.port or _PORTS[self.protocol][self.tls]

    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.real_port()}"

    def jolokia(self) -> str:
        """The URL of the broker's Jolokia."""
        if self.jolokia_url:
            return self.jolokia_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = "api/jolokia" if self.classic else "console/jolokia"
        return f"http://{host}:{_CONSOLE_PORT}/{path}"

    def secrets_go_to(self) -> list[str]:
        return [self.address(), self.jolokia()]
