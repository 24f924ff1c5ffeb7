"""TLS, with and without a client certificate, on Redis (the embedded Valkey is built without)."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from collectors.redis_pubsub import RedisPubSub
from collectors.redis_pubsub.config import RedisPubSubConfig
from eventhub.brokers.contract import Step, Verdict
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.kafka.certificates import KEY_PASSWORD, Certificates, make_certificates
from tests.brokers.redis_pubsub import server as servers
from tests.conftest import require
from tests.contracts.broker import collect, observation
from tests.servers.certificates import Certificate, self_signed
from tests.servers.expired import expired_port
from tests.servers.process import free_port

ADAPTER = RedisPubSub()


class Secured(NamedTuple):
    server: servers.RedisServer
    open_port: int
    """Speaks TLS with anybody."""
    files: Certificate
    """Of the server, and an authority that it trusts."""
    signed: Certificates
    """By another authority that it trusts."""
    strange: Certificate
    """That nobody trusts."""

    def config(self, port: int = 0, **more: object) -> RedisPubSubConfig:
        where = {"host": "localhost", "port": port or self.open_port, "tls": True}
        return RedisPubSubConfig.model_validate(
            {**where, "ca_file": str(self.files.certificate), **more}
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    require("redis", servers.missing("redis"))
    files = self_signed(tmp_path_factory.mktemp("server"))
    signed = make_certificates(tmp_path_factory.mktemp("clients"))
    strange = self_signed(tmp_path_factory.mktemp("strange"))
    trusted = tmp_path_factory.mktemp("trusted") / "authorities.pem"
    trusted.write_bytes(files.certificate.read_bytes() + signed.authority.read_bytes())
    port = free_port()
    options = [
        "--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(trusted),
        "--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key),
    ]  # fmt: skip
    with servers.running("redis", options) as server:
        yield Secured(server, port, files, signed, strange)


@pytest.fixture
def strict(secured: Secured) -> Iterator[Secured]:
    """The same server, that asks for a client certificate."""
    with secured.server.client() as client:
        client.config_set("tls-auth-clients", "yes")
        yield secured
        client.config_set("tls-auth-clients", "no")


def last_step(config: RedisPubSubConfig) -> Step:
    *_, last = ADAPTER.check_connection(config)
    return last


def test_over_tls_with_the_authority_that_signed(secured: Secured) -> None:
    steps = list(ADAPTER.check_connection(secured.config()))
    consumer = ADAPTER.consumer(secured.config(), observation())
    consumer.open()
    with secured.server.client() as client:
        client.publish("orders", bytes(5_000_000))
        client.publish("orders", b"2")
        assert [len(d.payload) for d in collect(consumer, 2)] == [5_000_000, 1]
    consumer.close()
    assert [step.name for step in steps if step.verdict is Verdict.OK] == [
        "resolve", "connect", "tls", "authenticate", "permissions",
    ]  # fmt: skip


def test_with_a_client_certificate_and_a_key_that_is_encrypted(strict: Secured) -> None:
    config = strict.config(
        client_certificate_file=str(strict.signed.client),
        client_key_file=str(strict.signed.client_key),
        client_key_password=KEY_PASSWORD,
    )
    assert {step.verdict for step in ADAPTER.check_connection(config)} == {Verdict.OK}
    consumer = ADAPTER.consumer(config, observation())
    consumer.open()
    with strict.server.client() as client:
        client.publish("orders", b"1")
    assert [d.payload for d in collect(consumer, 1)] == [b"1"]
    consumer.close()


def test_a_key_in_the_file_of_the_certificate(strict: Secured, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(strict.files.certificate.read_bytes() + strict.files.key.read_bytes())
    assert last_step(strict.config(client_certificate_file=str(both))).verdict is Verdict.OK


def test_without_a_client_certificate_where_one_is_asked_for(strict: Secured) -> None:
    failed = last_step(strict.config())
    assert failed.verdict is Verdict.FAILED
    assert failed.words == "The server asks for a client certificate."
    with pytest.raises(PermanentFailure, match="asks for a client certificate"):
        ADAPTER.consumer(strict.config(), observation()).open()


def test_a_client_certificate_that_the_server_does_not_trust(strict: Secured) -> None:
    failed = last_step(
        strict.config(
            client_certificate_file=str(strict.strange.certificate),
            client_key_file=str(strict.strange.key),
        )
    )
    assert failed.verdict is Verdict.FAILED
    assert failed.words == "The server does not trust the client certificate."


def test_a_client_certificate_that_has_expired(strict: Secured) -> None:
    failed = last_step(
        strict.config(
            client_certificate_file=str(strict.signed.expired),
            client_key_file=str(strict.signed.client_key),
            client_key_password=KEY_PASSWORD,
        )
    )
    assert failed.verdict is Verdict.FAILED
    assert failed.words == "The client certificate has expired."


def test_a_wrong_password_of_the_key_and_a_file_that_is_not_there(strict: Secured) -> None:
    wrong = strict.config(
        client_certificate_file=str(strict.signed.client),
        client_key_file=str(strict.signed.client_key),
        client_key_password="hunter2-wrong",
    )
    away = strict.config(client_certificate_file="/no/such/file.pem")
    for config, words in ((wrong, str(strict.signed.client)), (away, "/no/such/file.pem")):
        failed = last_step(config)
        assert (failed.name, failed.verdict) == ("tls", Verdict.FAILED)
        assert words in failed.words
        assert "hunter2-wrong" not in failed.words


def test_a_server_certificate_that_has_expired(tmp_path: Path) -> None:
    with expired_port(tmp_path) as port:
        failed = last_step(
            RedisPubSubConfig(
                host="localhost", port=port.port, tls=True, ca_file=str(port.authority)
            )
        )
    assert failed.verdict is Verdict.FAILED
    assert "has expired" in failed.words
