"""The connection test: one step after the other, each with its own words, within five seconds."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import Clients
from collectors.sqs.queues import name_of, queue_url
from collectors.sqs.refusals import DENIED, code_of, refusal, speaking
from eventhub.brokers.addresses import check_address
from eventhub.brokers.certificates import not_accepted
from eventhub.brokers.contract import Step
from eventhub.brokers.errors import BrokerError, PermanentFailure
from eventhub.brokers.sockets import open_socket
from eventhub.brokers.steps import Act, taken

__all__ = ["check_connection"]

# However far a service gets before it hangs, these add up to less than 5 s.
_RESOLVE_SECONDS: Final = 1.0
_SOCKET_SECONDS: Final = 0.8
_ANSWER_SECONDS: Final = 0.7
_AT_ONCE: Final = 8
_PERMISSION_SECONDS: Final = 1.4
_PROBE: Final = "eventhub-connection-test"


def check_connection(config: SQSConfig) -> Iterator[Step]:
    """Steps as they finish; the first failed one is the last. Never raises; 5 s at most."""
    check = _Check(config)
    try:
        yield from taken(check.steps())
    finally:
        check.close()


class _Check:
    """What one step leaves for the next. Each returns words or raises a BrokerError."""

    def __init__(self, config: SQSConfig) -> None:
        self._config = config
        self._clients = Clients(
            config,
            connections=_AT_ONCE,
            connect_seconds=_ANSWER_SECONDS,
            answer_seconds=_ANSWER_SECONDS,
        )
        self._addresses: list[str] = []
        self._host = ""
        self._port = 0
        self._socket: socket.socket | None = None

    def steps(self) -> Iterator[tuple[str, Act]]:
        yield "resolve", self.resolve
        yield "connect", self.connect
        if self._secure:
            yield "tls", self.tls
        yield "authenticate", self.authenticate
        yield "permissions", self.permissions

    def resolve(self) -> str:
        where = urlsplit(self._clients.get("sqs").meta.endpoint_url)
        self._secure = where.scheme == "https"
        self._host = where.hostname or ""
        try:
            self._port = where.port or (443 if self._secure else 80)
        except ValueError as error:
            raise PermanentFailure(f"The endpoint's port is none: {error}.") from error
        self._addresses = check_address(self._host, self._port, _RESOLVE_SECONDS)
        return f"{self._host} is {', '.join(self._addresses)}."

    def connect(self) -> str:
        self._socket = open_socket(self._host, self._port, self._addresses, _SOCKET_SECONDS)
        return f"{self._host}:{self._port} accepts connections."

    def tls(self) -> str:
        assert self._socket is not None
        self._socket.settimeout(_SOCKET_SECONDS)
        try:
            context = ssl.create_default_context(cafile=self._config.ca_file or None)
        except OSError as error:
            raise PermanentFailure(
                f"The CA file {self._config.ca_file} cannot be read: {error.strerror or error}.",
                way_out="Give a file with certificates in PEM format.",
            ) from error
        try:
            secured = context.wrap_socket(self._socket, server_hostname=self._host)
        except ssl.SSLCertVerificationError as error:
            raise not_accepted(error, "The endpoint's certificate") from error
        except OSError as error:
            raise PermanentFailure(
                f"This port does not speak TLS: {error.strerror or error}.",
                way_out="Write http:// for an endpoint without TLS, or give its other port.",
            ) from error
        self._socket = secured
        return f"{secured.version()}, and the certificate is trusted."

    def authenticate(self) -> str:
        """Listing decides: who may not list has been recognised all the same."""
        sqs = self._clients.get("sqs")
        try:
            sqs.list_queues(MaxResults=1, QueueNamePrefix=self._config.queue_prefix or _PROBE)
        except ClientError as error:
            if code_of(error) not in DENIED:
                raise refusal(error, "listing queues") from error
        except BotoCoreError as error:
            raise refusal(error, "listing queues") from error
        who = ""
        with suppress(ClientError, BotoCoreError, BrokerError):
            who = f" as {self._clients.get('sts').get_caller_identity()['Arn']}"
        return f"Signed in{who}."

    def permissions(self) -> str:
        """What can be asked without making or taking anything."""
        config = self._config
        asked: list[Callable[[], object]] = []
        if config.mode == "consume" or config.tap_queue:
            queues = config.queues if config.mode == "consume" else [config.tap_queue]
            asked = [lambda queue=queue: self._may_settle(queue) for queue in queues]  # type: ignore[misc]
            words = f"May settle in {len(queues)} queue(s). Receiving is not tried: it would hide"
            words += " a message."
        else:
            asked = [lambda topic=topic: self._sees(topic) for topic in config.topics]  # type: ignore[misc]
            if config.event_bus:
                asked.append(self._sees_bus)
            words = f"{len(asked)} topic(s) or bus(es) are there. EventHub's own queue is made"
            words += " when the source starts."
        if not asked:
            return "Nothing is chosen yet."
        self._all(asked)
        return words

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._clients.close()

    def _all(self, asked: list[Callable[[], object]]) -> None:
        """As many as there is time for; raises the first failure."""
        for service in ("sqs", "sns", "events"):
            self._clients.get(service)  # clients are made in one thread only
        deadline = time.monotonic() + _PERMISSION_SECONDS

        def act(each: Callable[[], object]) -> None:
            if time.monotonic() < deadline:
                each()

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(act, asked))

    def _may_settle(self, queue: str) -> None:
        """With a handle that is none: AWS says whether deleting is allowed before it says that."""
        sqs = self._clients.get("sqs")
        url = queue_url(sqs, queue)
        entries = [{"Id": "0", "ReceiptHandle": _PROBE}]
        with speaking(f"deleting from {name_of(queue)!r}"):
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)

    def _sees(self, topic: str) -> None:
        with speaking(f"looking at the topic {topic}"):
            self._clients.get("sns").get_topic_attributes(TopicArn=topic)

    def _sees_bus(self) -> None:
        bus = self._config.event_bus
        with speaking(f"looking at the bus {bus!r}"):
            self._clients.get("events").describe_event_bus(Name=bus)
