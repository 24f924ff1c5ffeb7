"""Words for what RabbitMQ refuses: each names the thing and the way out."""

import re
import shlex
from typing import Final

from pika.exceptions import AuthenticationError, ChannelClosedByBroker

from collectors.rabbitmq.config import TRACER, RabbitMQConfig
from collectors.rabbitmq.tls import client_name, cut_off
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = [
    "LoginRefused",
    "VirtualHostRefused",
    "firehose_off",
    "not_opened",
    "not_readable",
    "permission_command",
    "who",
]

_NOT_ALLOWED: Final = 530
_ACCESS_REFUSED: Final = 403
_NOT_FOUND: Final = 404
_TLS_ALERT: Final = b"\x15\x03"
_TAP_PATTERN: Final = r"eventhub\.tap\."
_AWAY: Final = ("down or inaccessible", "does not have a replica on the local node")
"""Of a queue whose node, or a stream whose leader, is still coming up: NOT_FOUND or
PRECONDITION_FAILED by their codes."""


class LoginRefused(PermanentFailure):
    """The user or the password is wrong, or no user is named as the certificate."""


class VirtualHostRefused(PermanentFailure):
    """The user is right, but may not use the virtual host, or there is none."""


def not_opened(config: RabbitMQConfig, wire: Wire) -> BrokerError | None:
    """What a failed handshake means; None where the failure says it best itself."""
    where = f"{config.host}:{config.port}"
    if wire.greeting.startswith(_TLS_ALERT):
        return PermanentFailure(
            f"{where} speaks TLS only.", way_out="Turn TLS on, or use the broker's plain port."
        )
    if wire.greeting.startswith(b"AMQP"):
        return PermanentFailure(f"{where} does not speak AMQP 0-9-1, which RabbitMQ does.")
    if wire.greeting and not wire.greeting.startswith(b"\x01\x00\x00"):
        return PermanentFailure(
            f"{where} is something else than RabbitMQ.",
            way_out="Use the AMQP port: usually 5672, with TLS 5671.",
        )
    if config.tls and not wire.greeting and (cut := cut_off(config, wire.failure)):
        return cut
    if isinstance(wire.failure, AuthenticationError):
        return _way_refused(config)
    if not wire.greeting:
        return NotConnected(
            f"{where} takes connections, but does not answer in AMQP.",
            way_out="Use the AMQP port: usually 5672, with TLS 5671.",
        )
    if wire.refusal is None:
        return None
    text = wire.refusal.reply_text
    if wire.refusal.reply_code == _ACCESS_REFUSED:
        return _login_refused(config, text)
    if wire.refusal.reply_code == _NOT_ALLOWED:
        return _virtual_host_refused(config, text)
    return NotConnected(f"RabbitMQ closed the connection: {text}")


def not_readable(config: RabbitMQConfig, queue: str, refusal: ChannelClosedByBroker) -> BrokerError:
    """Why a queue cannot be consumed from."""
    if any(words in refusal.reply_text for words in _AWAY):
        return NotConnected(f"{queue} is not there yet: {refusal.reply_text}")
    if refusal.reply_code == _NOT_FOUND:
        return PermanentFailure(
            f"There is no queue {queue!r} in the virtual host {config.virtual_host!r}.",
            way_out="Choose among the queues that are there, or declare it first.",
        )
    return PermanentFailure(
        f"RabbitMQ does not let {who(config)!r} read {queue!r}: {refusal.reply_text}",
        way_out="The user needs to `read` it: see rabbitmqctl list_user_permissions"
        f" {shlex.quote(who(config))}",
    )


def _way_refused(config: RabbitMQConfig) -> LoginRefused:
    """The broker does not offer this way of signing in."""
    if config.authentication == "password":
        return LoginRefused(
            "RabbitMQ lets nobody in by user and password here.",
            way_out="Sign in by a client certificate, or add PLAIN to the `auth_mechanisms`.",
        )
    return LoginRefused(
        "RabbitMQ lets nobody in by a client certificate here.",
        way_out="rabbitmq-plugins enable rabbitmq_auth_mechanism_ssl; and in rabbitmq.conf:"
        " auth_mechanisms.1 = EXTERNAL, ssl_options.verify = verify_peer",
    )


def _login_refused(config: RabbitMQConfig, text: str) -> LoginRefused:
    if config.authentication == "client certificate":
        name = who(config)
        return LoginRefused(
            f"RabbitMQ has no user for the certificate of {name!r}.",
            way_out=f"Make one, with no password: rabbitmqctl add_user {shlex.quote(name)} x;"
            f" rabbitmqctl clear_password {shlex.quote(name)}. It is named as"
            " `ssl_cert_login_from` in rabbitmq.conf says: common_name, or the whole subject.",
        )
    if "loopback" in text or "localhost" in text:
        return LoginRefused(
            f"RabbitMQ lets the user {config.user!r} in from its own machine only.",
            way_out="Make a user for EventHub: rabbitmqctl add_user eventhub",
        )
    return LoginRefused(
        f"RabbitMQ refused the user {config.user!r} with this password.",
        way_out=f"Check both: rabbitmqctl authenticate_user {shlex.quote(config.user)}",
    )


def _virtual_host_refused(config: RabbitMQConfig, text: str) -> VirtualHostRefused:
    name = config.virtual_host
    if "not found" in text:
        return VirtualHostRefused(
            f"There is no virtual host {name!r}.", way_out="See: rabbitmqctl list_vhosts"
        )
    if "refused" in text:
        return VirtualHostRefused(
            f"The user {who(config)!r} may not use the virtual host {name!r}.",
            way_out=permission_command(config),
        )
    return VirtualHostRefused(f"The virtual host {name!r} cannot be used: {text}")


def who(config: RabbitMQConfig) -> str:
    """The user that we are on the broker. It does not tell what it made of a certificate: this is
    the common name, whatever `ssl_cert_login_from` says."""
    if config.authentication == "password":
        return config.user
    return client_name(config) or "the client certificate"


def permission_command(config: RabbitMQConfig) -> str:
    """The rabbitmqctl command that allows this user what observing needs, and no more."""
    sources = [TRACER] if config.mode == "firehose" else config.exchanges
    read = "|".join([_TAP_PATTERN, *(re.escape(name) + "$" for name in sources)])
    parts = ["rabbitmqctl", "set_permissions", "-p", config.virtual_host, who(config)]
    return shlex.join([*parts, f"^{_TAP_PATTERN}", f"^{_TAP_PATTERN}", f"^({read})"])


def firehose_off(config: RabbitMQConfig) -> PermanentFailure:
    """EventHub never switches it on: that slows the node."""
    return PermanentFailure(
        f"The firehose of the virtual host {config.virtual_host!r} is off.",
        way_out=shlex.join(["rabbitmqctl", "trace_on", "-p", config.virtual_host])
        + " (it slows the node, and a restart of the node switches it off again)",
    )
