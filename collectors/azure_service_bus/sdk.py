"""The SDK's clients with limits of ours, and its errors in our words.

Four things that the SDK's public calls cannot do are done here and in `reader`, `publisher` and
`peeks` with what is beneath them (azure-servicebus 7.15, private names): waiting for several
entities at once, settling a batch by one frame, several batches in flight, and reading the types
of application properties. `tests/brokers/azure_service_bus/test_sdk.py` says which names.
"""

import contextlib
import logging
import select
import socket
import threading
from concurrent.futures import Future
from typing import Any, Final

from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus import ServiceBusClient
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.exceptions import (
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
)

from collectors.azure_service_bus.access import Access
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = [
    "CLIENT_LIMITS",
    "LIMITS",
    "SECONDS",
    "CredentialsRefused",
    "NoSuchEntity",
    "NotAllowed",
    "client",
    "open_within",
    "readable",
    "refusal",
    "sever",
    "socket_of",
    "words",
]

SECONDS: Final = 5.0
CLIENT_LIMITS: Final[dict[str, Any]] = {
    "retry_total": 0,  # reconnecting and its backoff are the caller's
    "try_timeout": SECONDS,
}
LIMITS: Final[dict[str, Any]] = {
    "auth_timeout": SECONDS,
    # Else a thread of the SDK's own reads from the connection that we read from, and closing
    # waits a second for it.
    "keep_alive": 0,
}
"""For each sender and receiver: these the client does not hand on."""
_LOG: Final = logging.getLogger("azure.servicebus")
# Every refusal is told by an exception as well; the SDK logs frames and tracebacks of it.
_LOG.setLevel(logging.CRITICAL)


class CredentialsRefused(PermanentFailure):
    """Service Bus does not know who this is."""


class NoSuchEntity(PermanentFailure):
    """There is no such queue, topic or subscription."""


class NotAllowed(PermanentFailure):
    """The credentials are right, and lack a claim."""


def client(access: Access) -> ServiceBusClient:
    """Nothing is connected yet. Raises NotConnected or PermanentFailure by the address.

    The SDK looks the name up once more by itself: it takes no address to connect to together
    with the name to check the certificate for.
    """
    check_address(access.host, access.port)
    return ServiceBusClient(
        access.namespace,
        access.credential,
        use_tls=access.tls,
        connection_verify=access.config.ca_file or None,
        **CLIENT_LIMITS,
    )


def open_within(handler: Any, seconds: float, what: str) -> None:
    """Open a sender, receiver or the like of the SDK's. Raises NotConnected or PermanentFailure.

    In a thread: the SDK waits for the answers of the SASL handshake without any limit.
    """
    opened: Future[None] = Future()

    def open_it() -> None:
        try:
            handler._open_with_retry()
            opened.set_result(None)
        except BaseException as error:
            opened.set_exception(error)

    threading.Thread(target=open_it, daemon=True, name=f"open {what}").start()
    try:
        opened.result(seconds)
    except TimeoutError as error:
        sever(handler)
        raise NotConnected(f"Service Bus does not answer within {seconds:g} s.") from error
    except Exception as error:
        raise refusal(error, what) from error


def sever(handler: Any) -> None:
    """End the connection without a word to the broker. Never raises."""
    sock = socket_of(handler)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def socket_of(handler: Any) -> socket.socket | None:
    """The socket of an SDK handler; None where it has none (any more)."""
    inner = getattr(handler, "_handler", None)
    transport = getattr(getattr(inner, "_connection", None), "_transport", None)
    sock: socket.socket | None = getattr(transport, "sock", None)
    return sock


def readable(handler: Any) -> bool:
    """Whether reading would tell something: bytes, or that the connection has ended."""
    sock = socket_of(handler)
    if sock is None:
        return True
    pending = getattr(sock, "pending", None)  # TLS has read ahead
    return bool((pending and pending()) or select.select([sock], [], [], 0)[0])


def words(error: BaseException) -> str:
    """What the broker said, in one line, without the SDK's decoration."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text.splitlines()[0].split(" TrackingId:")[0].split(" For more information")[0].strip()


def refusal(error: BaseException, what: str) -> BrokerError:
    """Our error for one of the SDK's. `what`: the entity, for the words."""
    if isinstance(error, BrokerError):
        return error
    if isinstance(error, Exception) and not isinstance(error, ServiceBusError | TimeoutError):
        if isinstance(error, ClientAuthenticationError):
            return PermanentFailure(
                f"Microsoft Entra gave no token: {words(error)}",
                way_out="Check tenant, client id and secret, or the managed identity.",
            )
        error = PyamqpTransport.create_servicebus_exception(_LOG, error)
    text = words(error)
    match error:
        case ServiceBusAuthenticationError():
            return CredentialsRefused(
                f"Service Bus refused the credentials: {text}",
                way_out="Check the key's name and the key, and that the policy still exists.",
            )
        case ServiceBusAuthorizationError():
            return NotAllowed(
                f"EventHub may not do this with {what}: {text}",
                way_out="Add the claim (Listen, Send, Manage) to the shared access policy, or the"
                " role 'Azure Service Bus Data Receiver' or 'Sender' to the identity.",
            )
        case MessagingEntityNotFoundError():
            return NoSuchEntity(
                f"There is no {what}.",
                way_out="Choose among those that are there, or create it.",
            )
        case MessagingEntityDisabledError():
            return PermanentFailure(f"{what} is disabled.", way_out="Enable it in the portal.")
    if "requires sessions" in text:
        return PermanentFailure(
            f"{what} requires sessions, which EventHub does not receive.",
            way_out="Tap its topic, or browse it.",
        )
    return NotConnected(f"The connection to Service Bus failed: {text}")
