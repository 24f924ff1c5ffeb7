"""TLS to a broker: trust, client certificates, and words for what goes wrong with either.

A broker says in an alert what it thinks of our certificate. In TLS 1.3 the alert comes after the
handshake, and may be lost with the connection: then only the file tells.
"""

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from collectors.rabbitmq.config import RabbitMQConfig
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["client_name", "cut_off", "secure", "tls_context"]

_EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED"""
_SECOND_LOOK_SECONDS: Final = 0.5
_NOT_TAKEN: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")
"""In the names of the alerts by which a server turns a client's certificate down."""
_SET_CERTIFICATE: Final = "Set the client certificate file and its key."
_SIGNED_BY: Final = (
    "It is to be signed by an authority in the `ssl_options.cacertfile` of the broker, and meant"
    " for clients."
)


def secure(config: RabbitMQConfig, sock: socket.socket) -> socket.socket:
    """The same connection under TLS, if the configuration asks for it."""
    if not config.tls:
        return sock
    context = tls_context(config)
    peer, timeout = sock.getpeername(), sock.gettimeout()
    try:
        return context.wrap_socket(sock, server_hostname=config.host)
    except ssl.SSLCertVerificationError as problem:
        raise _not_trusted(problem, peer, timeout) from problem
    except (ssl.SSLError, ConnectionError) as problem:
        raise turned_down(config, problem) or PermanentFailure(
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
            # Without a function OpenSSL would ask for a key's password on the terminal, and wait.
            context.load_cert_chain(
                config.client_certificate_file, config.client_key_file or None, password=str
            )
    except (OSError, ValueError) as problem:
        raise PermanentFailure(
            f"The certificate files cannot be used: {getattr(problem, 'strerror', '') or problem}.",
            way_out="They are in PEM format; the key is not encrypted and fits the certificate.",
        ) from problem
    return context


def cut_off(config: RabbitMQConfig, problem: object) -> BrokerError | None:
    """What it means that the broker ended the connection after the handshake and before AMQP; None
    where it was not cut."""
    if refused := turned_down(config, problem):
        return refused
    if not isinstance(problem, (ConnectionError, ssl.SSLEOFError)):
        return None
    if expired := _expired(config):
        return expired
    told = "ended the connection right after the TLS handshake, as it does when it"
    if config.client_certificate_file:
        return NotConnected(
            f"The broker {told} does not take the client certificate"
            f" {config.client_certificate_file!r}.",
            way_out=_SIGNED_BY,
        )
    return NotConnected(
        f"The broker {told} asks for a client certificate.", way_out=_SET_CERTIFICATE
    )


def turned_down(config: RabbitMQConfig, problem: object) -> PermanentFailure | None:
    """What an alert of the broker's says of our certificate; None where it says nothing of it."""
    alert = getattr(problem, "reason", None) or ""
    if not any(word in alert for word in _NOT_TAKEN):
        return None
    if not config.client_certificate_file:
        return PermanentFailure(
            f"{config.host}:{config.port} asks for a client certificate, and none is given.",
            way_out=_SET_CERTIFICATE,
        )
    return _expired(config) or PermanentFailure(
        "The broker does not take the client certificate"
        f" {config.client_certificate_file!r} ({alert.replace('_', ' ').lower()}).",
        way_out=_SIGNED_BY,
    )


def client_name(config: RabbitMQConfig) -> str:
    """The common name of the client certificate; empty where there is none."""
    certificate = _client_certificate(config)
    if certificate is None:
        return ""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _not_trusted(
    problem: ssl.SSLCertVerificationError, peer: tuple[str, int], timeout: float | None
) -> PermanentFailure:
    if problem.verify_code != _EXPIRED:
        return PermanentFailure(
            f"The broker's certificate is not trusted: {problem.verify_message}.",
            way_out="Set the CA file that signed it, or the host name that it was made for.",
        )
    ended = _end_of_service(peer, min(timeout or _SECOND_LOOK_SECONDS, _SECOND_LOOK_SECONDS))
    if ended is None or ended > datetime.now(UTC):
        words = "A certificate that vouches for the broker's has expired."
    else:
        words = f"The broker's certificate expired on {_date(ended)}."
    return PermanentFailure(words, way_out="Renew it on the broker: `ssl_options.certfile`.")


def _end_of_service(peer: tuple[str, int], seconds: float) -> datetime | None:
    """When the certificate there ends. OpenSSL does not hand over one that it did not trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        suppress(OSError, ValueError),
        socket.create_connection(peer[:2], timeout=seconds) as sock,
        context.wrap_socket(sock) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
        if shown:
            return x509.load_der_x509_certificate(shown).not_valid_after_utc
    return None


def _expired(config: RabbitMQConfig) -> PermanentFailure | None:
    """Words for our own certificate, if it has ended."""
    certificate = _client_certificate(config)
    if certificate is None or certificate.not_valid_after_utc > datetime.now(UTC):
        return None
    return PermanentFailure(
        f"The client certificate {config.client_certificate_file!r} expired on"
        f" {_date(certificate.not_valid_after_utc)}, and the broker does not take it.",
        way_out="Have it renewed, and replace the file.",
    )


def _client_certificate(config: RabbitMQConfig) -> x509.Certificate | None:
    if not config.client_certificate_file:
        return None
    with suppress(OSError, ValueError):
        return x509.load_pem_x509_certificate(Path(config.client_certificate_file).read_bytes())
    return None


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
