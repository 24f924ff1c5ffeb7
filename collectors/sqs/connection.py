"""Clients of AWS services for one configuration, connecting to allowed addresses only."""

import socket
from functools import cache, partial
from typing import Any, Final

import botocore.session
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    AssumeRoleWithWebIdentityCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.loaders import create_loader
from botocore.utils import FileWebIdentityTokenLoader

from collectors.sqs.config import SQSConfig
from collectors.sqs.refusals import speaking
from eventhub.brokers.addresses import check_address
from eventhub.brokers.errors import PermanentFailure
from eventhub.brokers.sockets import open_socket

__all__ = ["ANSWER_SECONDS", "CONNECT_SECONDS", "Clients"]

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 10.0
_ROLE_SESSION: Final = "eventhub"


class Clients:
    """Makes each client once. A client may be used by many threads; making one may not.

    `attempts` is 1 where the caller comes back by itself, or must not repeat: botocore's own
    retries of a send whose answer was lost would send it twice.
    """

    def __init__(
        self,
        config: SQSConfig,
        *,
        attempts: int = 1,
        connections: int = 10,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._config = config
        self._options = Config(
            retries={"total_max_attempts": attempts, "mode": "standard"},
            max_pool_connections=connections,
            connect_timeout=connect_seconds,
            read_timeout=answer_seconds,
            user_agent_extra="eventhub",
        )
        self._made: dict[str, Any] = {}
        self._session: Any = None

    def get(self, service: str) -> Any:
        """The client of `sqs`, `sns`, `events` or `sts`. Raises BrokerError."""
        if service not in self._made:
            try:
                with speaking(f"preparing to speak to {service}"):
                    if self._session is None:
                        self._session = self._sign_in()
                    self._made[service] = self._make(self._session, service)
            except ValueError as error:
                raise PermanentFailure(
                    f"{self._config.endpoint_url} is no endpoint: {error}.",
                    way_out="Write it as http://host:port or https://host.",
                ) from error
        return self._made[service]

    def close(self) -> None:
        for client in self._made.values():
            client.close()
        self._made.clear()

    def _sign_in(self) -> Any:
        config = self._config
        uses_profile = config.authentication in ("profile", "role") and config.profile
        session = botocore.session.Session(profile=config.profile if uses_profile else None)
        session.register_component("data_loader", _loader())
        if config.holds_access_key():
            session._credentials = _access_key(config)
        if config.authentication in ("role", "web identity"):
            # Temporary credentials, fetched with the first request and again before they expire.
            session._credentials = DeferredRefreshableCredentials(
                self._role_fetcher(session).fetch_credentials, method="assume-role"
            )
        return session

    def _role_fetcher(self, session: Any) -> Any:
        config = self._config
        more = {"RoleSessionName": _ROLE_SESSION}

        def create(service: str, **named: Any) -> Any:
            return self._make(session, service, **named)

        if config.authentication == "web identity":
            return AssumeRoleWithWebIdentityCredentialFetcher(
                create, partial(_token, config.web_identity_token_file), config.role_arn,
                extra_args=more,
            )  # fmt: skip
        if config.external_id:
            more["ExternalId"] = config.external_id
        base = session.get_credentials()
        return AssumeRoleCredentialFetcher(create, base, config.role_arn, extra_args=more)

    def _make(self, session: Any, service: str, **named: Any) -> Any:
        config = self._config
        options = self._options
        if more := named.pop("config", None):
            options = options.merge(more)
        client = session.create_client(
            service,
            region_name=config.region or ("us-east-1" if config.endpoint_url else None),
            endpoint_url=config.endpoint_url or None,
            verify=config.ca_file or None,
            config=options,
            **named,
        )
        _check_addresses(client)
        return client


@cache
def _loader() -> Any:
    """The descriptions of the services, read once: a client takes 12 ms instead of 100 to 270."""
    return create_loader()


def _token(path: str) -> str:
    try:
        token: str = FileWebIdentityTokenLoader(path)()
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentFailure(
            f"The web identity token in {path} cannot be read: {error}.",
            way_out="Check the path, and that the user that the collectors run as may read it.",
        ) from error
    return token


def _access_key(config: SQSConfig) -> Credentials:
    assert config.secret_access_key is not None
    token = config.session_token.get_secret_value() if config.session_token else None
    secret = config.secret_access_key.get_secret_value()
    return Credentials(config.access_key_id, secret, token or None, method="source")


def _check_addresses(client: Any) -> None:
    """Every connection goes to an address that the policy allows, whichever name led there.

    botocore has no public way to choose the class of its connections.
    """
    session = client._endpoint.http_session
    session._pool_classes_by_scheme.update(http=_Pool, https=_SecurePool)


class _Checked:
    """What a connection of urllib3 does to get a socket, with our policy and our words."""

    _dns_host: str
    port: int
    timeout: float | None

    def _new_conn(self) -> socket.socket:
        seconds = self.timeout if isinstance(self.timeout, int | float) else CONNECT_SECONDS
        addresses = check_address(self._dns_host, self.port, seconds)
        return open_socket(self._dns_host, self.port, addresses, seconds)


class _Connection(_Checked, AWSHTTPConnection):
    pass


class _SecureConnection(_Checked, AWSHTTPSConnection):
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(AWSHTTPSConnectionPool):
    ConnectionCls = _SecureConnection
