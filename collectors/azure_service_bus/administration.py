"""The administration API: entities, rules and counts, as Atom over HTTP.

https://learn.microsoft.com/rest/api/servicebus/entities. The SDK has a client of its own, which
we do not use: it reads each entity into objects of 30 fields (a namespace may have thousands),
opens its own connections without our address policy, and its time limits are azure-core's.
"""

import http.client
import re
import ssl
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import msgspec
from azure.core.exceptions import ClientAuthenticationError

from collectors.azure_service_bus.access import Access
from eventhub.brokers.addresses import check_address
from eventhub.brokers.certificates import not_accepted
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["Administration", "Counts", "Found", "Missing"]

_VERSION: Final = "api-version=2021-05"
_PAGE: Final = 100
_SERVICE_BUS: Final = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_ALREADY_THERE: Final = 409
_WRONG_TOKEN: Final = re.compile("signature|InvalidToken|ExpiredToken")
"""In the reason where the key is wrong, and not a right missing: both are 401."""
_WAY_OUT: Final = "Give EventHub the right 'Manage', or the role 'Azure Service Bus Data Owner'."


class Missing(PermanentFailure):
    """There is no such entity."""


class Counts(msgspec.Struct, frozen=True):
    active: int = 0
    dead: int = 0
    scheduled: int = 0
    transfer: int = 0
    """On their way to the entity that this one forwards to."""
    transfer_dead: int = 0


class Found(msgspec.Struct, frozen=True):
    """A queue, topic, subscription or rule."""

    name: str
    counts: Counts
    fields: dict[str, str]
    """Its description's plain elements, for example `MaxDeliveryCount` to "10"."""
    filter: str = ""
    """Of a rule, in one line."""


class Administration:
    """Keeps one connection. Every call raises NotConnected or PermanentFailure."""

    def __init__(self, access: Access, *, seconds: float = 5.0) -> None:
        self._access = access
        self._seconds = seconds
        self._url = urlsplit(access.administration_url)
        self._connection: http.client.HTTPConnection | None = None
        self._token = ("", 0.0)

    def queues(self) -> Iterator[Found]:
        return self._pages("$Resources/queues")

    def topics(self) -> Iterator[Found]:
        return self._pages("$Resources/topics")

    def subscriptions(self, topic: str) -> Iterator[Found]:
        return self._pages(f"{quote(topic)}/subscriptions")

    def rules(self, topic: str, subscription: str) -> Iterator[Found]:
        return self._pages(f"{quote(topic)}/subscriptions/{quote(subscription)}/rules")

    def subscription(self, topic: str, name: str) -> Found:
        """Raises Missing."""
        raw = self._call("GET", f"{quote(topic)}/subscriptions/{quote(name)}?{_VERSION}")
        found = _entries(raw)
        if not found:
            raise Missing(f"The topic {topic!r} has no subscription {name!r}.")
        return found[0]

    def create_subscription(self, topic: str, name: str, fields: dict[str, str]) -> bool:
        """With the rule that lets everything through. False where it was there already."""
        inner = "".join(f"<{field}>{escape(text)}</{field}>" for field, text in fields.items())
        body = (
            '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
            f'<SubscriptionDescription xmlns="{_SERVICE_BUS}">{inner}</SubscriptionDescription>'
            "</content></entry>"
        )
        path = f"{quote(topic)}/subscriptions/{quote(name)}?{_VERSION}"
        return self._call("PUT", path, body.encode()) is not None

    def delete_subscription(self, topic: str, name: str) -> None:
        """Raises Missing."""
        self._call("DELETE", f"{quote(topic)}/subscriptions/{quote(name)}?{_VERSION}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pages(self, path: str) -> Iterator[Found]:
        skip = 0
        while True:
            found = _entries(self._call("GET", f"{path}?{_VERSION}&$skip={skip}&$top={_PAGE}"))
            yield from found
            skip += len(found)
            if len(found) < _PAGE:
                return

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes | None:
        """The answer's body; None where what was to be made is there already."""
        headers = {
            "Authorization": self._authorization(),
            "Content-Type": "application/atom+xml;type=entry;charset=utf-8",
        }
        try:
            status, text = self._exchange(method, f"{self._url.path}/{path}", body, headers)
        except ssl.SSLCertVerificationError as error:
            raise not_accepted(error, f"The certificate of {self._url.netloc}") from error
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise NotConnected(
                f"The administration API at {self._access.administration_url} does not answer:"
                f" {str(error) or type(error).__name__}."
            ) from error
        if status < 300:
            return text
        if status == _ALREADY_THERE and method == "PUT":
            return None
        raise self._refusal(status, text)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        # A connection that was idle may have been closed by the other side: once more, then.
        for fresh in (self._connection is None or self._connection.sock is None, True):
            connection = self._connected()
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if fresh:
                    raise
        raise AssertionError("the second connection is always fresh")

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None and self._connection.sock is not None:
            return self._connection
        tls = self._url.scheme == "https"
        host = self._url.hostname or ""
        port = self._url.port or (443 if tls else 80)
        deadline = time.monotonic() + self._seconds
        addresses = check_address(host, port, self._seconds)
        sock = open_socket(host, port, addresses, max(deadline - time.monotonic(), 0.1))
        sock.settimeout(self._seconds)
        if tls:
            context = ssl.create_default_context(cafile=self._access.config.ca_file or None)
            sock = context.wrap_socket(sock, server_hostname=host)
        self._connection = http.client.HTTPConnection(host, port, timeout=self._seconds)
        self._connection.auto_open = 0  # it would connect without TLS and our address policy
        self._connection.sock = sock
        return self._connection

    def _refusal(self, status: int, text: bytes) -> NotConnected | PermanentFailure:
        detail = _detail(text)
        who = self._access.who
        if status == 401 and _WRONG_TOKEN.search(detail):
            return PermanentFailure(
                f"As {who}: Service Bus refused the credentials: {detail}",
                way_out="Check the key's name and the key, and that the policy still exists.",
            )
        if status in (401, 403):
            return PermanentFailure(
                f"The administration API refuses {who} ({status}): {detail}", way_out=_WAY_OUT
            )
        if status == 404:
            return Missing(f"The administration API knows no such entity: {detail}")
        if status == 429 or status >= 500:
            return NotConnected(f"The administration API is busy ({status}): {detail}")
        return PermanentFailure(f"The administration API refuses ({status}): {detail}")

    def _authorization(self) -> str:
        token, renew_at = self._token
        if time.monotonic() > renew_at:
            try:
                token = self._access.administration_token()
            except ClientAuthenticationError as error:
                raise PermanentFailure(
                    f"Microsoft Entra gave no token: {error.message.splitlines()[0]}"
                ) from error
            self._token = (token, time.monotonic() + 600)
        return token


def _detail(text: bytes) -> str:
    try:
        found = _parse(text).findtext("{*}Detail")
    except ElementTree.ParseError:
        found = None
    return (found or text.decode("utf-8", "replace").strip() or "no reason given").split("\n")[0]


def _parse(text: bytes) -> Any:
    # Expat refuses entities that explode (2.4.1 and later), and fetches none from elsewhere.
    return ElementTree.fromstring(text)  # noqa: S314


def _entries(text: bytes | None) -> list[Found]:
    root = _parse(text or b"<feed/>")
    atom = "{http://www.w3.org/2005/Atom}"
    entries = [root] if root.tag == f"{atom}entry" else root.findall(f"{atom}entry")
    return [found for entry in entries if (found := _found(entry, atom)) is not None]


def _found(entry: Any, atom: str) -> Found | None:
    content = entry.find(f"{atom}content")
    description = content[0] if content is not None and len(content) else None
    if description is None:
        return None
    fields, counts, rule = {}, Counts(), ""
    for element in description:
        name = element.tag.rpartition("}")[2]
        if name == "CountDetails":
            counts = _counts(element)
        elif name == "Filter":
            rule = _filter(element)
        elif not len(element):
            fields[name] = element.text or ""
    return Found(entry.findtext(f"{atom}title") or "", counts, fields, rule)


def _counts(element: Any) -> Counts:
    numbers = {each.tag.rpartition("}")[2]: int(each.text or 0) for each in element}
    return Counts(
        active=numbers.get("ActiveMessageCount", 0),
        dead=numbers.get("DeadLetterMessageCount", 0),
        scheduled=numbers.get("ScheduledMessageCount", 0),
        transfer=numbers.get("TransferMessageCount", 0),
        transfer_dead=numbers.get("TransferDeadLetterMessageCount", 0),
    )


def _filter(element: Any) -> str:
    """A rule's filter in one line, for a correlation filter as the SQL that it stands for."""
    kind = element.attrib.get(_TYPE, "").rpartition(":")[2]
    if kind != "CorrelationFilter":
        said = str(element.findtext(f"{{{_SERVICE_BUS}}}SqlExpression") or kind)
        return {"TrueFilter": "everything", "FalseFilter": "nothing"}.get(kind, said)
    terms = []
    for each in element:
        name = each.tag.rpartition("}")[2]
        if name != "Properties":
            terms.append(f"sys.{name} = '{each.text or ''}'")
            continue
        for pair in each:
            key, value = (part.text or "" for part in pair)
            terms.append(f"{key} = '{value}'")
    return " AND ".join(terms)
