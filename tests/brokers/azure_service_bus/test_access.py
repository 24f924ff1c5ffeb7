"""Each way to sign in: shared access for real, Microsoft Entra as far as no tenant is needed."""

from typing import Any

import pytest
from azure.identity import (
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)
from pydantic import SecretStr, ValidationError

from collectors.azure_service_bus import AzureServiceBusConfig
from collectors.azure_service_bus.access import SharedAccess, access
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.azure_service_bus.peer.tokens import rights

HOST = "shop.servicebus.windows.net"
PLAIN = f"Endpoint=sb://{HOST}/;SharedAccessKeyName=send;SharedAccessKey=send-secret"


def config(**fields: Any) -> AzureServiceBusConfig:
    return AzureServiceBusConfig.model_validate(fields)


def test_a_connection_string_names_host_and_key() -> None:
    reached = access(config(connection_string=PLAIN))
    assert (reached.host, reached.port, reached.tls) == (HOST, 5671, True)
    assert reached.administration_url == f"https://{HOST}"
    token = reached.credential.get_token(f"sb://{HOST}/orders").token
    assert rights(token) == frozenset({"Send"})


def test_the_emulators_connection_string_is_without_tls() -> None:
    text = f"{PLAIN.replace(HOST + '/', 'localhost:5673')};UseDevelopmentEmulator=true;"
    reached = access(config(connection_string=text))
    assert (reached.host, reached.port, reached.tls) == ("localhost", 5673, False)
    assert reached.administration_url == "http://localhost:5300"


def test_a_signature_made_elsewhere_is_passed_on() -> None:
    signed = SharedAccess("send", "send-secret").get_token(f"sb://{HOST}/").token
    text = f"Endpoint=sb://{HOST}/;SharedAccessSignature={signed}"
    reached = access(config(connection_string=text))
    assert reached.credential.get_token("sb://anything").token == signed


def test_a_shared_access_key_signs_the_same_token() -> None:
    reached = access(
        config(
            authentication="shared access key", namespace=HOST, key_name="listen",
            key="listen-secret",
        )
    )  # fmt: skip
    assert rights(reached.administration_token()) == frozenset({"Listen"})
    assert reached.config.address() == HOST


@pytest.mark.parametrize(
    ("authentication", "kind"),
    [
        ("entra client secret", ClientSecretCredential),
        ("entra managed identity", ManagedIdentityCredential),
        ("entra default", DefaultAzureCredential),
    ],
)
def test_entra_credentials_are_built(authentication: str, kind: type) -> None:
    reached = access(
        config(
            authentication=authentication,
            namespace=HOST,
            tenant_id="72f988bf-86f1-41af-91ab-2d7cd011db47",
            client_id="1f3a9a4e-7d0b-4a55-9d9e-2f4c3b1f7a11",
            client_secret="hunter2",
        )
    )
    assert isinstance(reached.credential, kind)
    assert reached.tls


@pytest.mark.parametrize(
    "fields",
    [
        {"authentication": "shared access key", "key_name": "a", "key": "b"},
        {"authentication": "entra client secret", "namespace": HOST},
        {"authentication": "entra default"},
        {"administration_url": "shop"},
    ],
)
def test_what_is_missing_is_named_by_the_form(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**fields)


@pytest.mark.parametrize("text", ["", "nonsense", f"Endpoint=sb://{HOST}", "SharedAccessKey=a"])
def test_what_is_no_connection_string_says_so(text: str) -> None:
    with pytest.raises(PermanentFailure):
        access(config(connection_string=SecretStr(text)))


def test_secrets_go_nowhere_else() -> None:
    made = config(connection_string=PLAIN, administration_url="https://proxy.example.com/")
    assert made.secrets_go_to() == [HOST, "https://proxy.example.com"]
    assert "send-secret" not in repr(made)
    assert AzureServiceBusConfig.secret_fields() == ["connection_string", "key", "client_secret"]
