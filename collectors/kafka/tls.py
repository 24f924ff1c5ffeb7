"""A TLS handshake by Python's own library, which tells apart what librdkafka calls a failed one."""

import ssl
from contextlib import closing
from socket import socket
from typing import Final

from collectors.kafka.config import KafkaConfig
from eventhub.brokers.addresses import check_address
from eventhub.brokers.certificates import not_accepted
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["handshake", "why_not_trusted"]

_SECONDS: Final = 3.0


def handshake(config: KafkaConfig, sock: socket, host: str) -> ssl.SSLSocket:
    """Speak TLS from here on, and verify who answers. Raises NotConnected or PermanentFailure."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
    except OSError as error:
        raise PermanentFailure(
            f"The CA file cannot be read: {error}.",
            way_out="Give a PEM file on the machine of the collectors.",
        ) from error
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise not_accepted(error, "The broker's certificate") from error
    except TimeoutError as error:
        raise NotConnected("The TLS handshake got no answer.") from error
    except OSError as error:
        raise PermanentFailure(
            "The TLS handshake failed; this port may speak Kafka without TLS.",
            way_out="Turn TLS off, or give the port of a listener with TLS.",
        ) from error


def why_not_trusted(config: KafkaConfig) -> PermanentFailure | None:
    """The reason why the certificate of one of the bootstrap servers is not accepted, if it is."""
    for host, port in config.hosts():
        try:
            sock = open_socket(host, port, check_address(host, port, _SECONDS), _SECONDS)
            with closing(sock):
                sock.settimeout(_SECONDS)
                handshake(config, sock, host).close()
        except PermanentFailure as refusal:
            return refusal
        except (BrokerError, OSError):
            continue
    return None
