"""Where a namespace is and what opens it, from the configuration."""

import base64
import hashlib
import hmac
import time
from typing import Any, Final, Protocol
from urllib.parse import quote_plus, urlsplit

from azure.core.credentials import AccessToken
from azure.identity import (
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)
from pydantic import SecretStr

from collectors.azure_service_bus.config import AzureServiceBusConfig, endpoint
from eventhub.brokers.errors import PermanentFailure

__all__ = ["Access", "access"]

_ENTRA_SCOPE: Final = "https://servicebus.azure.net//.default"
_TOKEN_SECONDS: Final = 3600
_ENTRA_SECONDS: Final = 5
AMQPS_PORT: Final = 5671
AMQP_PORT: Final = 5672
_EMULATOR_ADMINISTRATION_PORT: Final = 5300
"""https://learn.microsoft.com/azure/service-bus-messaging/overview-emulator"""


class Credential(Protocol):
    def get_token(self, *scopes: str, **_: Any) -> AccessToken: ...


class SharedAccess:
    """Signs tokens with a shared access key, or passes on one that was signed already.

    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas. The SDK's public
    credentials do the same, but only for the SDK: the administration API needs tokens too.
    """

    token_type = b"servicebus.windows.net:sastoken"  # the SDK asks for it

    def __init__(self, name: str, key: str, signature: str = "") -> None:
        self.name = name
        self._key = key
        self._signature = signature

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """`scopes[0]`: the address of the resource."""
        expires = int(time.time()) + _TOKEN_SECONDS
        if self._signature:
            return AccessToken(self._signature, expires)
        resource = quote_plus(scopes[0])
        signed = hmac.new(self._key.encode(), f"{resource}\n{expires}".encode(), hashlib.sha256)
        signature = quote_plus(base64.b64encode(signed.digest()))
        fields = f"sr={resource}&sig={signature}&se={expires}&skn={quote_plus(self.name)}"
        return AccessToken(f"SharedAccessSignature {fields}", expires)


class Access:
    def __init__(
        self, config: AzureServiceBusConfig, host: str, credential: Credential, *, tls: bool
    ) -> None:
        self.config = config
        self.credential = credential
        self.tls = tls
        """Whether AMQP is encrypted; only the emulator's is not."""
        self.namespace = host
        """Host, for the emulator with its port."""
        address = urlsplit(f"//{host}")
        self.host = address.hostname or host
        self.port = AMQPS_PORT if tls else address.port or AMQP_PORT
        administration = f"https://{self.host}" if tls else (
            f"http://{self.host}:{_EMULATOR_ADMINISTRATION_PORT}"
        )  # fmt: skip
        self.administration_url = config.administration_url or administration

    @property
    def who(self) -> str:
        """As whom EventHub signs in, for a sentence."""
        if isinstance(self.credential, SharedAccess):
            return f"the key {self.credential.name!r}"
        return f"{self.config.client_id or 'the identity'} of {self.config.authentication!r}"

    def administration_token(self) -> str:
        """Value of the header Authorization."""
        if isinstance(self.credential, SharedAccess):
            return self.credential.get_token(f"{self.administration_url}/").token
        return f"Bearer {self.credential.get_token(_ENTRA_SCOPE).token}"


def access(config: AzureServiceBusConfig) -> Access:
    """Nothing is connected yet. Raises PermanentFailure for what cannot be right."""
    if config.authentication == "connection string":
        return _from_connection_string(config, _secret(config.connection_string))
    host = config.namespace.split("://", 1)[-1].strip("/")
    return Access(config, host, _credential(config), tls=True)


def _credential(config: AzureServiceBusConfig) -> Credential:
    match config.authentication:
        case "shared access key":
            return SharedAccess(config.key_name, _secret(config.key))
        case "entra client secret":
            return ClientSecretCredential(
                config.tenant_id,
                config.client_id,
                _secret(config.client_secret),
                **_limits(),
            )
        case "entra managed identity":
            return ManagedIdentityCredential(client_id=config.client_id or None, **_limits())
        case _:
            return DefaultAzureCredential(**_limits())


def _limits() -> dict[str, Any]:
    """Of azure-core's requests for tokens: its own defaults are 3 retries and 300 s."""
    return {
        "retry_total": 0,
        "connection_timeout": _ENTRA_SECONDS,
        "read_timeout": _ENTRA_SECONDS,
    }


def _from_connection_string(config: AzureServiceBusConfig, text: str) -> Access:
    pairs = (part.split("=", 1) for part in text.strip().strip(";").split(";") if "=" in part)
    fields = {name.strip().lower(): value.strip() for name, value in pairs}
    host = endpoint(text)
    name, key = fields.get("sharedaccesskeyname", ""), fields.get("sharedaccesskey", "")
    signature = fields.get("sharedaccesssignature", "")
    if not host or not ((name and key) or signature):
        raise PermanentFailure(
            "This is no connection string of a Service Bus namespace.",
            way_out="Copy it from the namespace's shared access policies: it begins with"
            " Endpoint=sb:// and has a SharedAccessKeyName and a SharedAccessKey.",
        )
    tls = fields.get("usedevelopmentemulator", "").lower() != "true"
    host = host if not tls else host.split("/")[0]
    return Access(config, host, SharedAccess(name, key, signature), tls=tls)


def _secret(secret: SecretStr | None) -> str:
    text = secret.get_secret_value() if secret else ""
    if not text:
        raise PermanentFailure(
            "A secret is missing.", way_out="Enter the secret of the chosen authentication."
        )
    return text
