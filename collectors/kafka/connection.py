"""librdkafka's clients: their settings, what they complain of, and the first look at a cluster.

librdkafka connects, and reconnects, in threads of its own and by the names that the brokers
advertise. It connects to a broker when it first needs it (`enable.sparse.connections`), so the
advertised addresses are checked after the first metadata and before anything is read from them.
Settings: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

import logging
import time
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from collectors.kafka.config import KafkaConfig
from collectors.kafka.problems import NotTrusted, explain
from collectors.kafka.security import security
from collectors.kafka.tls import why_not_trusted
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import BrokerError, NotConnected, PermanentFailure

__all__ = ["Admin", "Broker", "Cluster", "Health", "check_bootstrap", "check_brokers", "settings"]

logger = logging.getLogger(__name__)
# Failed connections come by the error callback too, and end as words on the Sources page.
logger.addFilter(lambda record: not record.getMessage().startswith("FAIL "))

CALL_SECONDS: Final = 10.0
_SHORTEST_TURN: Final = 0.25
_LOG_LEVEL_WARNING: Final = 4


class Health:
    """What a client's error callback was told. Served while the client is polled."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self.down = False
        """Whether no broker could be reached at some moment since `clear`."""
        self._first: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.down = True
        elif self._first is None or error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            # The cause comes first; what follows is about connections that failed after it.
            self._first = error

    def clear(self) -> None:
        self.down, self._first = False, None

    def fatal(self) -> bool:
        """Whether waiting longer cannot bring an answer."""
        decisive = (KafkaError._AUTHENTICATION, KafkaError._SSL)
        return self.down or (self._first is not None and self._first.code() in decisive)

    def problem(self) -> BrokerError:
        """The words for what went wrong, as far as it is known."""
        return explain(self._first, self._config)


def settings(config: KafkaConfig, health: Health, client_id: str) -> dict[str, Any]:
    """What every client of ours has in common."""
    return {
        "bootstrap.servers": ",".join(config.bootstrap_servers),
        "client.id": client_id,
        # Brokers create a topic that a client asks about, unless the client says no; producers
        # and admin clients ask for it by default.
        "allow.auto.create.topics": False,
        "socket.timeout.ms": int(CALL_SECONDS * 1000),
        "socket.connection.setup.timeout.ms": 5_000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 5_000,
        "error_cb": health,
        "logger": logger,
        "log_level": _LOG_LEVEL_WARNING,
        "log.connection.close": False,
        **security(config),
    }


class Broker(NamedTuple):
    """As it tells clients to come to it (`advertised.listeners`)."""

    id: int
    host: str
    port: int


class Cluster(NamedTuple):
    brokers: list[Broker]
    topics: dict[str, list[int]]
    """Those that this user may see, with their partitions."""

    def others_topics(self) -> dict[str, list[int]]:
        """Without Kafka's own (`__consumer_offsets`)."""
        return {name: parts for name, parts in self.topics.items() if not name.startswith("__")}


class Admin:
    """A client that asks about the cluster and changes nothing. Connects with the first question.

    Raises PermanentFailure for settings that cannot work.
    """

    def __init__(self, config: KafkaConfig, client_id: str) -> None:
        self.config = config
        self._health = Health(config)
        try:
            self.client = AdminClient(settings(config, self._health, client_id))
        except KafkaException as error:
            raise explain(error.args[0], config) from error

    def cluster(self, seconds: float = CALL_SECONDS) -> Cluster:
        """Brokers and topics, within `seconds`. Raises BrokerError.

        librdkafka's own call waits on for its whole time when no answer can come: a refused
        password is told by the error callback only. So it is asked in short turns.
        """
        deadline = time.monotonic() + seconds
        self._health.clear()
        turn = _SHORTEST_TURN
        while True:
            left = deadline - time.monotonic()
            try:
                found = self.client.list_topics(timeout=max(min(turn, left), 0.01))
            except KafkaException as error:
                self.client.poll(0)
                if self._health.fatal() or left <= turn:
                    problem = self._health.problem()
                    if isinstance(problem, NotTrusted):
                        problem = why_not_trusted(self.config) or problem
                    raise problem from error
            else:
                return _cluster(found)
            turn *= 2


def check_bootstrap(config: KafkaConfig) -> None:
    """The address policy for every place that is connected to. Raises BrokerError."""
    problems: list[NotConnected] = []
    for host, port in config.hosts():
        try:
            check_address(host, port)
        except NotConnected as problem:  # one of several may be unknown for a while
            problems.append(problem)
    if len(problems) == len(config.bootstrap_servers):
        raise problems[0]
    if config.authentication == "oauthbearer":
        endpoint = urlsplit(config.token_endpoint)
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        check_address(endpoint.hostname or "", port)


def check_brokers(found: Cluster) -> None:
    """The address policy for what the brokers advertise. Raises PermanentFailure."""
    for broker in found.brokers:
        try:
            check_address(broker.host, broker.port)
        except NotConnected:
            continue  # librdkafka's to tell, if it needs this broker
        except PermanentFailure as refusal:
            raise PermanentFailure(
                f"Broker {broker.id} advertises {broker.host}:{broker.port}. {refusal}",
                way_out=refusal.way_out,
            ) from refusal


def _cluster(found: Any) -> Cluster:
    """From confluent_kafka's `ClusterMetadata`."""
    return Cluster(
        [Broker(broker.id, broker.host, broker.port) for broker in found.brokers.values()],
        {
            name: sorted(topic.partitions)
            for name, topic in found.topics.items()
            if topic.error is None
        },
    )
