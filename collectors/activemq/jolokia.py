"""The broker's management over HTTP: Jolokia, which reads JMX (https://jolokia.org).

One POST holds many reads, and a pattern in an MBean's name reads all that match: the number of
calls does not grow with the number of destinations.
"""

import base64
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import msgspec

from collectors.activemq.config import ActiveMQConfig
from collectors.activemq.connect import tls_context
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import BrokerError

__all__ = ["Jolokia", "Unreadable", "properties"]

_MOST_BYTES: Final = 64 * 1024 * 1024


class Unreadable(Exception):
    """Jolokia did not answer what was asked; `str()` is a sentence why."""


class _Answer(msgspec.Struct, frozen=True):
    status: int
    value: Any = None
    error: str = ""


class Jolokia:
    """Every call may raise Unreadable."""

    def __init__(self, config: ActiveMQConfig, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._url = config.jolokia()
        secret = config.jolokia_password if config.jolokia_user else config.password
        user = config.jolokia_user or config.user
        token = base64.b64encode(
            f"{user}:{secret.get_secret_value() if secret else ''}".encode()
        ).decode()
        parts = urlsplit(self._url)
        self._headers = {
            "Content-Type": "application/json",
            # Both brokers' policies check it strictly, and by default let only localhost pass
            # (Artemis: etc/jolokia-access.xml).
            "Origin": f"{parts.scheme}://localhost",
        }
        if user:
            self._headers["Authorization"] = f"Basic {token}"
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if parts.scheme == "https":
            handlers.append(urllib.request.HTTPSHandler(context=tls_context(config)))
        self._opener = urllib.request.build_opener(*handlers)

    def read(self, *reads: tuple[str, Sequence[str]]) -> list[Mapping[str, Mapping[str, Any]]]:
        """For each (pattern of MBeans, attributes): the attributes by the MBean's name.

        One call. A pattern that nothing matches gives nothing.
        """
        requests = [
            {"type": "read", "mbean": mbean, "attribute": list(attributes)}
            for mbean, attributes in reads
        ]
        return [answer.value if answer.status == 200 else {} for answer in self._post(requests)]

    def call(self, *calls: tuple[str, str, Sequence[Any]]) -> list[Any]:
        """For each (MBean, operation, arguments) what it returned; None where it failed."""
        requests = [
            {"type": "exec", "mbean": mbean, "operation": operation, "arguments": list(arguments)}
            for mbean, operation, arguments in calls
        ]
        return [answer.value if answer.status == 200 else None for answer in self._post(requests)]

    def search(self, pattern: str) -> list[str]:
        """Names of the MBeans that match. Raises Unreadable where the user may not ask."""
        [answer] = self._post([{"type": "search", "mbean": pattern}])
        if answer.status != 200:
            raise Unreadable(f"It answered with status {answer.status}: {answer.error[:200]}")
        return list(answer.value or ())

    def _post(self, requests: Sequence[Mapping[str, Any]]) -> list[_Answer]:
        request = urllib.request.Request(  # noqa: S310 - the configuration allows http(s) only
            self._url, data=msgspec.json.encode(requests), headers=self._headers
        )
        try:
            self._check_address()
            with self._opener.open(request, timeout=self._timeout) as answer:
                found: list[_Answer] = msgspec.json.decode(
                    answer.read(_MOST_BYTES), type=list[_Answer]
                )
        except HTTPError as problem:
            words = _REFUSALS.get(problem.code, f"It answered with status {problem.code}.")
            raise Unreadable(words) from problem
        except BrokerError as problem:
            raise Unreadable(str(problem)) from problem
        except (URLError, OSError, HTTPException) as problem:
            reason = getattr(problem, "reason", problem)
            raise Unreadable(f"It cannot be reached: {reason}.") from problem
        except ValueError as problem:
            raise Unreadable("What answers there is not Jolokia.") from problem
        return found

    def _check_address(self) -> None:
        """The policy for brokers holds for their management too. Raises BrokerError."""
        url = urlsplit(self._url)
        port = url.port or (443 if url.scheme == "https" else 80)
        check_address(url.hostname or "", port, self._timeout)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The password stays with the host that it was entered for."""

    def redirect_request(self, *args: Any) -> None:
        return None


_REFUSALS: Final = {
    401: "It refused the user or the password.",
    403: "It does not let this user in with this password, or not from this origin.",
    404: "There is no Jolokia at this path.",
}


def properties(mbean: str) -> dict[str, str]:
    """The key properties of an MBean's name, without quotes and their escapes."""
    found: dict[str, str] = {}
    rest = mbean.partition(":")[2]
    while rest:
        key, _, rest = rest.partition("=")
        if rest.startswith('"'):
            value, rest = _quoted(rest[1:])
        else:
            value, _, rest = rest.partition(",")
        found[key] = value
    return found


def _quoted(text: str) -> tuple[str, str]:
    """A quoted value and what follows it; `\\` escapes (javax.management.ObjectName.quote)."""
    value: list[str] = []
    at = 0
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
            value.append("\n" if text[at : at + 1] == "n" else text[at : at + 1])
        else:
            value.append(text[at])
        at += 1
    return "".join(value), text[at + 2 :]
