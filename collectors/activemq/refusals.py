"""What the brokers' refusals mean for a person."""

from typing import Any, Final

from proton import SASL

from collectors.activemq.config import ActiveMQConfig
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = [
    "LoginRefused", "closed", "login_refused", "may_not", "not_mqtt", "not_stomp", "not_there",
    "refused", "who_refused",
]  # fmt: skip

_UNAUTHORIZED: Final = "amqp:unauthorized-access"
_NOT_FOUND: Final = "amqp:not-found"
_LOGIN: Final = ("amqp:unauthorized-access", "amqp:security", "amqp:invalid-field")
_TLS_ALERT: Final = b"\x15\x03"


class LoginRefused(PermanentFailure):
    """The user or the password is wrong, or one is needed."""


def login_refused(
    config: ActiveMQConfig, outcome: int | None, condition: Any
) -> BrokerError | None:
    """Why an AMQP handshake failed, as far as the user is the reason."""
    said = f"{condition.name} {condition.description}".lower() if condition else ""
    if outcome in (SASL.AUTH, SASL.PERM) or "password" in said or "security" in said:
        return who_refused(config)
    if condition is not None and condition.name in _LOGIN:
        return who_refused(config)
    if outcome in (SASL.SYS, SASL.TEMP):
        return NotConnected("The broker cannot check the user now.")
    return None


def who_refused(config: ActiveMQConfig) -> LoginRefused:
    """The words for a refused user, whatever the protocol."""
    if config.user:
        return LoginRefused(
            f"The broker refused the user {config.user!r} with this password.",
            way_out="Enter both again. Classic keeps users in conf/users.properties or in"
            " activemq.xml, Artemis in etc/artemis-users.properties.",
        )
    if config.client_certificate_file:
        return LoginRefused(
            "The broker lets in neither the client certificate nor anonymous clients.",
            way_out="Give a user and a password, or map the certificate to a user on the broker.",
        )
    return LoginRefused(
        "The broker does not let anonymous clients in.", way_out="Enter a user and a password."
    )


def closed(config: ActiveMQConfig, greeting: bytes) -> BrokerError | None:
    """What answered, where it was something else than AMQP."""
    where = config.address()
    if greeting.startswith(_TLS_ALERT):
        return PermanentFailure(
            f"{where} speaks TLS only.", way_out="Turn TLS on, or give the port without TLS."
        )
    if greeting.startswith(b"AMQP\x00\x00\x09"):
        return PermanentFailure(
            f"{where} speaks AMQP 0-9-1, as RabbitMQ does, and not AMQP 1.0.",
            way_out="Choose the kind RabbitMQ, or give ActiveMQ's AMQP port.",
        )
    if greeting and not greeting.startswith(b"AMQP"):
        return PermanentFailure(
            f"{where} does not speak AMQP 1.0.",
            way_out="Give the port of the broker's AMQP connector (usually 5672, with TLS 5671).",
        )
    return None


def not_stomp(config: ActiveMQConfig, greeting: bytes) -> BrokerError | None:
    """What answered, where it was something else than STOMP."""
    where = config.address()
    if greeting.startswith(_TLS_ALERT):
        return PermanentFailure(
            f"{where} speaks TLS only.", way_out="Turn TLS on, or give the port without TLS."
        )
    if greeting and not greeting.startswith((b"CONN", b"ERRO", b"\n")):
        return PermanentFailure(
            f"{where} does not speak STOMP.",
            way_out="Give the port of the broker's STOMP connector (usually 61613).",
        )
    return None


def not_mqtt(config: ActiveMQConfig, greeting: bytes) -> BrokerError | None:
    """What answered, where it was something else than MQTT."""
    where = config.address()
    if greeting.startswith(_TLS_ALERT):
        return PermanentFailure(
            f"{where} speaks TLS only.", way_out="Turn TLS on, or give the port without TLS."
        )
    if greeting and not greeting.startswith(b"\x20"):
        return PermanentFailure(
            f"{where} does not speak MQTT.",
            way_out="Give the port of the broker's MQTT connector (usually 1883).",
        )
    return None


def refused(config: ActiveMQConfig, condition: Any, what: str) -> BrokerError:
    """Why a link was refused."""
    name = condition.name if condition else ""
    said = (condition.description or "") if condition else ""
    if name == _UNAUTHORIZED or "not authorized" in said.lower() or "AMQ229032" in said:
        return may_not(config, what, said)
    if name == _NOT_FOUND:
        return not_there(what, said)
    return PermanentFailure(f"The broker refused {what}: {said or name or 'it gave no reason'}.")


def may_not(config: ActiveMQConfig, what: str, said: str) -> PermanentFailure:
    who = f"The user {config.user!r}" if config.user else "An anonymous client"
    # Classic repeats who and what in its words; they hold no secret.
    return PermanentFailure(
        f"{who} may not use {what}: {said.strip().rstrip('.') or 'not authorized'}.",
        way_out="The README of the ActiveMQ adapter has the permissions to paste.",
    )


def not_there(what: str, said: str) -> PermanentFailure:
    return PermanentFailure(
        f"There is no {what} on the broker: {said.strip().rstrip('.') or 'not found'}.",
        way_out="Create it, or let the broker do so (auto-create-queues, auto-create-addresses).",
    )
