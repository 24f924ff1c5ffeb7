"""The SDK's clients with limits of ours, and its errors in our words.

Five things that the SDK's public calls cannot do are done here and in `reader`, `plain`,
`sessions`, `publisher` and `peeks` with what is beneath them (azure-servicebus 7.15, private
names): waiting for several entities at once, settling a batch by one frame, several batches in
flight, several sessions over one connection, and reading the types of application properties.
`tests/brokers/azure_service_bus/test_sdk.py` says which names.
"""

import contextlib
import logging
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Final

from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus import ServiceBusClient
from azure.servicebus._session_browser import _SessionBrowser
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
from eventhub.brokers.certificates import not_accepted, verification_error
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = [
    "LIMITS",
    "SECONDS",
    "CredentialsRefused",
    "NeedsSessions",
    "NoSuchEntity",
    "NotAllowed",
    "client",
    "open_within",
    "readable",
    "refusal",
    "sever",
    "signing_in",
    "socket_of",
    "without_links",
    "words",
]

SECONDS: Final = 5.0
_CLIENT_LIMITS: Final[dict[str, Any]] = {
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


class NeedsSessions(PermanentFailure):
    """The messages of the entity are received by sessions only."""


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
        **_CLIENT_LIMITS,
    )


def without_links(access: Access, path: str) -> Any:
    """A connection of the SDK's for one entity with no link yet; nothing is connected so far.

    Raises NotConnected or PermanentFailure by the address.
    """
    check_address(access.host, access.port)
    return _SessionBrowser(
        access.namespace,
        path,
        access.credential,
        use_tls=access.tls,
        connection_verify=access.config.ca_file or None,
        **_CLIENT_LIMITS,
        **LIMITS,
    )


@contextlib.contextmanager
def signing_in(access: Access) -> Iterator[None]:
    """A refusal of the credentials tells whose they are."""
    try:
        yield
    except CredentialsRefused as error:
        raise CredentialsRefused(f"As {access.who}: {error}", way_out=error.way_out) from error


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
    return _bare(getattr(error, "message", None) or str(error) or type(error).__name__)


def _bare(text: str | bytes) -> str:
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
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
    if certificate := verification_error(error):
        return not_accepted(certificate, "The namespace's certificate")
    text = words(error)
    match error:
        case ServiceBusAuthenticationError():
            # What the broker said of the token, which the SDK leaves out of its own text.
            said = getattr(error.inner_exception, "status_description", None)
            return CredentialsRefused(
                f"Service Bus refused the credentials: {_bare(said or text)}",
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
                f"Service Bus has no {what}: no queue, topic or subscription has this name.",
                way_out="Choose among those that are there, or create it.",
            )
        case MessagingEntityDisabledError():
            return PermanentFailure(f"{what} is disabled.", way_out="Enable it in the portal.")
    if "requires sessions" in text:
        return NeedsSessions(
            f"{what} requires sessions.",
            way_out="Consume it by a source of the mode 'consume', or look at it by 'browse'.",
        )
    return NotConnected(f"The connection to Service Bus failed: {text}")
