"""From a configuration to an open connection, one step after the other.

Each step raises NotConnected or PermanentFailure with words for the Sources page.
"""

import re
import shlex
import socket
import ssl
import time
from pathlib import Path
from typing import Final

import pika

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.wire import Wire
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = [
    "TAP_PATTERN",
    "LoginRefused",
    "VirtualHostRefused",
    "connect",
    "log_in",
    "permission_command",
    "secure",
    "tls_context",
]

HEARTBEAT: Final = 10
"""Seconds; both sides take the other for dead after about two of them."""
_NOT_ALLOWED: Final = 530
_ACCESS_REFUSED: Final = 403
_TLS_ALERT: Final = b"\x15\x03"
TAP_PATTERN: Final = r"eventhub\.tap\."


class LoginRefused(PermanentFailure):
    """The user or the password is wrong."""


class VirtualHostRefused(PermanentFailure):
    """The user is right, but may not use the virtual host, or there is none."""


def connect(config: RabbitMQConfig, purpose: str, seconds: float = 10) -> Wire:
    """An open connection. `purpose` is what RabbitMQ's own pages show for it."""
    deadline = time.monotonic() + seconds
    sock = open_socket(config.host, config.port, check_address(config.host, config.port), seconds)
    try:
        sock = secure(config, sock)
        return log_in(config, sock, purpose, max(deadline - time.monotonic(), 1.0))
    except BaseException:
        sock.close()
        raise


def secure(config: RabbitMQConfig, sock: socket.socket) -> socket.socket:
    """The same connection under TLS, if the configuration asks for it."""
    if not config.tls:
        return sock
    context = tls_context(config)
    try:
        return context.wrap_socket(sock, server_hostname=config.host)
    except ssl.SSLCertVerificationError as problem:
        raise PermanentFailure(
            f"The broker's certificate is not trusted: {problem.verify_message}.",
            way_out="Set the CA file that signed it, or the host name that it was made for.",
        ) from problem
    except (ssl.SSLError, ConnectionError) as problem:
        raise PermanentFailure(
            f"{config.host}:{config.port} does not speak TLS.",
            way_out="Turn TLS off, or use the broker's TLS port (usually 5671).",
        ) from problem
    except OSError as problem:
        raise NotConnected(f"{config.host}:{config.port} did not answer in TLS.") from problem


def tls_context(config: RabbitMQConfig) -> ssl.SSLContext:
    """Raises PermanentFailure naming the file that cannot be used."""
    for path in (config.ca_file, config.client_certificate_file, config.client_key_file):
        if path and not Path(path).is_file():
            raise PermanentFailure(
                f"There is no file {path!r}.",
                way_out="Paths are those of the machine that runs the collectors.",
            )
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
        if config.client_certificate_file:
            context.load_cert_chain(config.client_certificate_file, config.client_key_file or None)
    except OSError as problem:
        raise PermanentFailure(
            f"The certificate files cannot be used: {problem.strerror or problem}."
        ) from problem
    return context


def log_in(config: RabbitMQConfig, sock: socket.socket, purpose: str, seconds: float) -> Wire:
    """The AMQP handshake: user, password and virtual host."""
    parameters = pika.ConnectionParameters(
        host=config.host,
        port=config.port,
        virtual_host=config.virtual_host,
        credentials=pika.PlainCredentials(config.user, config.password.get_secret_value()),
        heartbeat=HEARTBEAT,
        client_properties={"connection_name": f"EventHub {purpose}"},
    )
    wire = Wire(parameters, sock)
    try:
        wire.wait_for(lambda: wire.is_open, seconds, "finish the AMQP handshake")
    except NotConnected as problem:
        wire.sever()
        raise _in_words(config, wire) or problem from problem
    return wire


def _in_words(config: RabbitMQConfig, wire: Wire) -> NotConnected | PermanentFailure | None:
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


def _login_refused(config: RabbitMQConfig, text: str) -> LoginRefused:
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
            f"The user {config.user!r} may not use the virtual host {name!r}.",
            way_out=permission_command(config),
        )
    return VirtualHostRefused(f"The virtual host {name!r} cannot be used: {text}")


def permission_command(config: RabbitMQConfig) -> str:
    """The rabbitmqctl command that allows this user what observing needs, and no more."""
    read = "|".join([TAP_PATTERN, *(re.escape(name) + "$" for name in config.exchanges)])
    parts = ["rabbitmqctl", "set_permissions", "-p", config.virtual_host, config.user]
    return shlex.join([*parts, f"^{TAP_PATTERN}", f"^{TAP_PATTERN}", f"^({read})"])
