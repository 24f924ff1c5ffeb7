"""What Kafka's and librdkafka's errors mean for a person."""

import re
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError

from collectors.kafka.config import KafkaConfig
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = [
    "ADVERTISED",
    "NotReachable",
    "NotTrusted",
    "explain",
    "forbidden",
    "may_not_read",
    "no_topic",
    "some",
]

ADVERTISED: Final = (
    "Kafka's clients use the addresses in the brokers' `advertised.listeners`: set them to names"
    " that can be reached from this machine, for the listener that is given here."
)

_SHOWN: Final = 5
_FORBIDDEN: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_LEARNED: Final = re.compile(
    r"(\w+://)?(?P<host>\S+):(?P<port>\d+)/(?P<id>\d+): "
    r"(Connect to|Failed to resolve|Connection setup timed out)"
)
# Texts of OpenSSL and librdkafka; there are no codes.
_WANTS_CERTIFICATE: Final = ("alert bad certificate", "alert certificate required")
_REFUSES_CERTIFICATE: Final = (
    "alert certificate unknown", "alert certificate expired", "alert certificate revoked",
    "alert unknown ca", "alert unsupported certificate", "alert handshake failure",
)  # fmt: skip


class NotReachable(NotConnected):
    """A broker cannot be reached at the address that it advertises."""


class NotTrusted(PermanentFailure):
    """A broker's certificate is not accepted; librdkafka does not tell why."""


def explain(error: KafkaError | None, config: KafkaConfig) -> BrokerError:
    """The error to raise; None is a connection of which nothing else is known."""
    if error is None:
        return NotConnected(f"No answer from {config.address()}.", way_out=_LISTENER)
    text = _bare(error.str())
    if unreachable := _not_reachable(text, config):
        return unreachable
    if error.code() == KafkaError._AUTHENTICATION:
        return _not_signed_in(text, config)
    if error.code() in _FORBIDDEN:
        return PermanentFailure(f"Kafka does not allow this: {text}.", way_out=_ACLS)
    if problem := _tls_problem(text):
        return problem
    if error.code() == KafkaError._INVALID_ARG:
        return _cannot_begin(text)
    if "Connection refused" in text:
        return NotConnected(
            f"Nothing listens on {config.address()}.",
            way_out="Check the port, and that the broker runs and binds this address.",
        )
    return NotConnected(f"Kafka cannot be reached: {text}.")


def no_topic(names: Sequence[str]) -> PermanentFailure:
    return PermanentFailure(
        f"There is no topic {some(names)}.",
        way_out="Check the spelling, or create it: EventHub creates no topics.",
    )


def may_not_read(topic: str) -> PermanentFailure:
    return PermanentFailure(
        f"This user may not read {topic!r}.",
        way_out="kafka-acls.sh --add --allow-principal User:NAME --operation Read"
        f" --operation Describe --topic {topic}",
    )


def some(names: Sequence[str]) -> str:
    """The first few of them."""
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def forbidden(error: KafkaError) -> bool:
    return error.code() in _FORBIDDEN


_ACLS: Final = "kafka-acls.sh --add grants it; the README of this adapter has the commands."
_LISTENER: Final = (
    "Check that the port is a listener for clients, and whether it asks for TLS or a sign-in."
)


def _bare(text: str) -> str:
    """Without how long it took, which differs each time."""
    return text.partition(" (after ")[0].rstrip(". :")


def _not_reachable(text: str, config: KafkaConfig) -> NotReachable | None:
    """librdkafka's word on a broker that it learned of: "host:port/id: Connect to … failed"."""
    found = _LEARNED.match(text)
    if found is None or (found["host"].strip("[]"), int(found["port"])) in config.hosts():
        return None
    return NotReachable(
        f"Broker {found['id']} tells clients to come to {found['host']}:{found['port']}, which"
        " cannot be reached.",
        way_out=ADVERTISED,
    )


def _not_signed_in(text: str, config: KafkaConfig) -> BrokerError:
    mechanism = config.authentication.upper()
    if "supported mechanisms" in text or "Unsupported" in text:
        offered = text.rpartition("mechanisms")[2].strip(" :")
        if not offered:
            return PermanentFailure(
                "The listener asks for no sign-in, and the source tries one.",
                way_out="Choose `none`, or give the port of a listener with SASL.",
            )
        return PermanentFailure(
            f"The listener does not take {mechanism}. It takes: {offered}.",
            way_out="Choose one of these.",
        )
    if config.authentication == "oauthbearer":
        return PermanentFailure(
            f"No token was accepted: {text}.",
            way_out="Check the token endpoint, the client ID, its secret and the scope.",
        )
    return PermanentFailure(
        f"Kafka refused the name or the password of user {config.user!r} ({mechanism}).",
        way_out="Enter both again. A SCRAM user has a password of its own for each mechanism.",
    )


def _tls_problem(text: str) -> BrokerError | None:
    if "certificate verify failed" in text:
        return NotTrusted(
            "The broker's certificate is not trusted, or is for another name.",
            way_out="Give the CA file of the authority that signed it, and the name it is for.",
        )
    if any(part in text for part in _WANTS_CERTIFICATE):
        return PermanentFailure(
            "The listener wants a client certificate.",
            way_out="Sign in by client certificate, or give the port of another listener.",
        )
    if any(part in text for part in _REFUSES_CERTIFICATE):
        return PermanentFailure(
            "The listener does not accept the client certificate.",
            way_out="It may have expired, or be signed by an authority that the broker ignores.",
        )
    if "SSL handshake failed" in text or "SSL connection closed" in text:
        return PermanentFailure(
            "The TLS handshake failed; this port may speak Kafka without TLS.",
            way_out="Turn TLS off, or give the port of a listener with TLS.",
        )
    return None


def _cannot_begin(text: str) -> BrokerError:
    """What librdkafka says before it connects."""
    for setting, what in _FILES.items():
        if setting in text:
            return PermanentFailure(
                f"The {what} cannot be used: {text.rpartition(': ')[2]}.",
                way_out="Check the file on the machine of the collectors, and its password.",
            )
    return PermanentFailure(f"Kafka's client library does not take these settings: {text}.")


_FILES: Final = {
    "ssl.ca.location": "CA file",
    "ssl.certificate.location": "client certificate file",
    "ssl.key.location": "client key file",
}
