"""The management plugin's HTTP API, as far as observing uses it.

https://www.rabbitmq.com/docs/http-api-reference. Its figures lag by the node's statistics
interval, 5 s unless configured.
"""

import base64
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

import msgspec

from collectors.rabbitmq.config import RabbitMQConfig
from collectors.rabbitmq.tls import tls_context
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import BrokerError

__all__ = [
    "Binding", "Exchange", "Flow", "Management", "Queue", "QueueDepth", "QueueFigures", "Unreadable"
]  # fmt: skip


class Unreadable(Exception):
    """The API did not answer what was asked; `str()` is a sentence why."""


class Exchange(msgspec.Struct, frozen=True):
    name: str
    type: str


class Binding(msgspec.Struct, frozen=True):
    source: str
    destination: str
    routing_key: str
    destination_type: str = "queue"


class Queue(msgspec.Struct, frozen=True):
    """What a queue is set up to be; the policy that is in force on it may be a list: none."""

    name: str
    type: str = "classic"
    arguments: dict[str, object] = {}
    effective_policy_definition: dict[str, object] | list[None] = {}


class _Rate(msgspec.Struct, frozen=True):
    rate: float = 0.0


class Flow(msgspec.Struct, frozen=True):
    """Messages a second, as the broker itself counts."""

    publish_details: _Rate = _Rate()
    deliver_get_details: _Rate = _Rate()


class QueueDepth(msgspec.Struct, frozen=True):
    """Counts are missing while a queue's node is away."""

    name: str
    messages_ready: int | None = None
    messages_unacknowledged: int | None = None
    consumers: int | None = None
    message_stats: Flow | list[None] = Flow()
    head_message_timestamp: int | str | None = None
    """Seconds: the timestamp property of the oldest message, where it has one."""


class DepthPage(msgspec.Struct, frozen=True):
    items: list[QueueDepth]
    filtered_count: int
    page_count: int


class QueueFigures(msgspec.Struct, frozen=True):
    """Counters of a queue since the node began to count, and what waits in it."""

    published: int = 0
    delivered: int = 0
    """First deliveries: those that the broker did not mark as redelivered."""
    bytes_ready: int = 0


class _Statistics(msgspec.Struct, frozen=True):
    publish: int = 0
    deliver_get: int = 0
    redeliver: int = 0


_Nothing = list[None]
"""How the API writes an object in which it has nothing to say."""


class _Queue(msgspec.Struct, frozen=True):
    message_stats: _Statistics | _Nothing = _Statistics()
    message_bytes_ready: int = 0


class _VirtualHost(msgspec.Struct, frozen=True):
    name: str
    tracing: bool | None = None


class Management:
    """Calls the API; every call may raise Unreadable."""

    def __init__(self, config: RabbitMQConfig, timeout: float = 2.0) -> None:
        self._timeout = timeout
        self._base = f"{config.management()}/api"
        self._virtual_host = config.virtual_host
        self._host = quote(config.virtual_host, safe="")
        self._user, password = config.management_login()
        token = base64.b64encode(f"{self._user}:{password}".encode()).decode()
        self._authorization = f"Basic {token}"
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if self._base.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=tls_context(config)))
        self._opener = urllib.request.build_opener(*handlers)

    def exchanges(self) -> list[Exchange]:
        path = f"/exchanges/{self._host}?columns=name,type"
        found: list[Exchange] = self._get(path, list[Exchange])
        return found

    def bindings_of(self, exchange: str) -> list[Binding]:
        """The bindings whose source the exchange is."""
        path = f"/exchanges/{self._host}/{quote(exchange, safe='')}/bindings/source"
        found: list[Binding] = self._get(path, list[Binding])
        return found

    def bindings(self) -> list[Binding]:
        found: list[Binding] = self._get(f"/bindings/{self._host}", list[Binding])
        return found

    def queues(self) -> list[Queue]:
        columns = "name,type,arguments,effective_policy_definition"
        found: list[Queue] = self._get(f"/queues/{self._host}?columns={columns}", list[Queue])
        return found

    def deepest(self, page: int, size: int) -> DepthPage:
        """A page of at most 500 queues, those with the most messages first."""
        columns = (
            "name,messages_ready,messages_unacknowledged,consumers,head_message_timestamp,"
            "message_stats.publish_details.rate,message_stats.deliver_get_details.rate"
        )
        sorting = f"sort=messages&sort_reverse=true&page={page}&page_size={size}"
        found: DepthPage = self._get(f"/queues/{self._host}?{sorting}&columns={columns}", DepthPage)
        return found

    def queue(self, name: str) -> QueueFigures:
        path = f"/queues/{self._host}/{quote(name, safe='')}"
        found = self._get(f"{path}?columns=message_stats,message_bytes_ready", _Queue | _Nothing)
        if isinstance(found, list):
            return QueueFigures()
        counted = found.message_stats
        if isinstance(counted, list):
            return QueueFigures(bytes_ready=found.message_bytes_ready)
        return QueueFigures(
            published=counted.publish,
            delivered=counted.deliver_get - counted.redeliver,
            bytes_ready=found.message_bytes_ready,
        )

    def tracing(self) -> bool | None:
        """Whether the firehose of the virtual host is on, on the node that answers; None where it
        does not say. The list of all is open to the tag `management`, a single one is not."""
        found: list[_VirtualHost] = self._get("/vhosts?columns=name,tracing", list[_VirtualHost])
        return next((each.tracing for each in found if each.name == self._virtual_host), None)

    def bindings_to(self, queue: str) -> list[Binding]:
        """The bindings of a queue."""
        path = f"/queues/{self._host}/{quote(queue, safe='')}/bindings"
        found: list[Binding] = self._get(path, list[Binding])
        return found

    def _get(self, path: str, shape: Any) -> Any:
        if not self._user:
            raise Unreadable("It takes a user and a password, and no API user is given.")
        request = urllib.request.Request(  # noqa: S310 - the configuration allows http(s) only
            self._base + path, headers={"Authorization": self._authorization}
        )
        try:
            self._check_address()
            with self._opener.open(request, timeout=self._timeout) as answer:
                return msgspec.json.decode(answer.read(), type=shape)
        except HTTPError as problem:
            words = _REFUSALS.get(problem.code, f"It answered with status {problem.code}.")
            raise Unreadable(words) from problem
        except BrokerError as problem:
            raise Unreadable(str(problem)) from problem
        except (URLError, OSError, HTTPException) as problem:
            reason = getattr(problem, "reason", problem)
            raise Unreadable(f"It cannot be reached: {reason}") from problem
        except ValueError as problem:
            raise Unreadable("What answers there is not the management API.") from problem

    def _check_address(self) -> None:
        """The policy for brokers holds for their API too. Raises BrokerError."""
        url = urlsplit(self._base)
        check_address(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The password stays with the host that it was entered for."""

    def redirect_request(self, *args: Any) -> None:
        return None


_REFUSALS: Final = {
    401: "It refused the user: he lacks the tag `management`, or the password is wrong.",
    404: "It does not know what was asked for.",
}
