"""Looking at what lies in an entity: nothing is locked, and no delivery count is raised.

https://learn.microsoft.com/azure/service-bus-messaging/message-browsing
"""

from typing import Any, Final

from azure.servicebus._common.constants import MGMT_RESPONSE_MESSAGE_ERROR_CONDITION
from azure.servicebus._pyamqp._decode import decode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport

from collectors.azure_service_bus.access import Access
from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.sdk import SECONDS, open_within, refusal, sever, without_links
from collectors.azure_service_bus.translate import Incoming
from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["Peeks"]

_MOST: Final = 250
"""Messages that one request asks for: Service Bus answers with a limited number of bytes."""
_GONE: Final = (404, 410)


class Peeks:
    """One connection to one entity, with no receiving link: so that entities with sessions can be
    looked at too. Every call raises NotConnected or PermanentFailure."""

    def __init__(self, access: Access, entity: Entity) -> None:
        self.entity = entity
        self._browser = without_links(access, entity.path)

    def open(self, seconds: float = SECONDS) -> None:
        open_within(self._browser, seconds, self.entity.path)
        self._links: dict[str, Any] = self._browser._handler._mgmt_links

    def peek(self, start: int, limit: int, seconds: float = SECONDS) -> list[Incoming]:
        """Up to `limit` messages with a sequence number from `start` on; the broker may give
        fewer than there are, but gives none only at the end."""
        request = {
            "from-sequence-number": PyamqpTransport.AMQP_LONG_VALUE(start),
            "message-count": PyamqpTransport.AMQP_INT_VALUE(min(limit, _MOST)),
        }
        try:
            found: list[Incoming] = self._browser._mgmt_request_response_with_retry(
                b"com.microsoft:peek-message",
                request,
                self._answered,
                keep_alive_associated_link=False,
                timeout=seconds,
            )
        except Exception as error:
            raise refusal(self._cause() or error, self.entity.path) from error
        return found

    def _cause(self) -> Exception | None:
        """Why the broker refused the links of requests: the SDK says only that it did."""
        for operation in self._links.values():
            pair = operation._mgmt_link
            for link in (pair._request_link, pair._response_link):
                if link._error is not None:
                    error: Exception = link._error
                    return error
        return None

    def sever(self) -> None:
        sever(self._browser)

    def close(self) -> None:
        """Never raises."""
        try:
            self._browser.close()
        except Exception:
            self.sever()

    def _answered(self, status: int, message: Any, description: Any, **_: Any) -> list[Incoming]:
        if status == 200:
            encoded = [memoryview(each[b"message"]) for each in message.value[b"messages"]]
            return [Incoming(decode_payload(raw), raw) for raw in encoded]
        if status == 204:
            return []
        condition = (message.application_properties or {}).get(
            MGMT_RESPONSE_MESSAGE_ERROR_CONDITION
        )
        text = f"{description!r} ({status}, {condition!r})"
        if status in _GONE:
            raise PermanentFailure(f"There is no {self.entity.path}: {text}")
        raise NotConnected(f"Looking at {self.entity.path} failed: {text}")
