"""Signing in to a real RabbitMQ by certificate, and certificates that nobody takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from collectors.rabbitmq import RabbitMQ, RabbitMQConfig
from collectors.rabbitmq.depth import DepthProbe
from eventhub.brokers.config import BrokerConfig
from eventhub.brokers.contract import Message, Step, Verdict
from eventhub.brokers.errors import NotConnected
from tests.brokers.rabbitmq.certificates import Authority
from tests.brokers.rabbitmq.server import OwnServer, RabbitMQServer, own
from tests.brokers.rabbitmq.test_contract import RabbitMQRig
from tests.contracts.broker import collect, opened, publish
from tests.servers.certificates import Certificate


@pytest.fixture
def server(rabbitmq: RabbitMQServer) -> OwnServer:
    return own(rabbitmq)


@pytest.fixture
def rig(server: OwnServer) -> Iterator[RabbitMQRig]:
    """By TLS and password; a test changes what it is about."""
    made = RabbitMQRig(server)
    made.config = made.config_with(
        host="localhost",
        port=server.tls_port,
        tls=True,
        ca_file=str(server.authority.certificate),
    )
    yield made
    made.remove()


def by(certificate: Certificate, **more: Any) -> dict[str, Any]:
    return {
        "client_certificate_file": str(certificate.certificate),
        "client_key_file": str(certificate.key),
        **more,
    }


def external(certificate: Certificate, **more: Any) -> dict[str, Any]:
    return by(certificate, authentication="client certificate", user="nobody", password="", **more)


def steps(config: BrokerConfig) -> list[Step]:
    assert isinstance(config, RabbitMQConfig)
    return list(RabbitMQ().check_connection(config))


def test_a_certificate_signs_in_without_a_password(rig: RabbitMQRig, server: OwnServer) -> None:
    certificate = server.authority.issue("watcher")
    rig.config = rig.config_with(**external(certificate))
    *good, management = steps(rig.config)
    assert {step.verdict for step in good} == {Verdict.OK}
    assert "let 'watcher' in" in next(step.words for step in good if step.name == "authenticate")
    assert management.verdict is Verdict.WARNING
    assert "no API user is given" in management.words
    assert "API user" in management.way_out
    with opened(rig) as consumer:
        publish(rig, Message(b"by certificate"))
        assert [each.payload for each in collect(consumer, 1)] == [b"by certificate"]
    with pytest.raises(NotConnected, match="no API user is given"):
        DepthProbe(rig.config).sample(10)


def test_beside_a_certificate_the_api_has_a_user_of_its_own(
    rig: RabbitMQRig, server: OwnServer
) -> None:
    api = {"api_user": "watcher", "api_password": "watcher's secret"}
    rig.config = rig.config_with(**external(server.authority.issue("watcher"), **api))
    assert {step.verdict for step in steps(rig.config)} == {Verdict.OK}
    queue = rig.fill(1)
    assert queue in {each.destination for each in DepthProbe(rig.config).sample(1_000).samples}


def test_a_certificate_of_nobody_is_told_how_to_become_a_user(
    rig: RabbitMQRig, server: OwnServer
) -> None:
    failed = steps(rig.config_with(**external(server.authority.issue("outsider"))))[-1]
    assert (failed.name, failed.verdict) == ("authenticate", Verdict.FAILED)
    assert "no user for the certificate of 'outsider'" in failed.words
    assert "rabbitmqctl add_user outsider" in failed.way_out
    assert "ssl_cert_login_from" in failed.way_out


def test_a_user_by_certificate_without_permissions_is_named(
    rig: RabbitMQRig, server: OwnServer
) -> None:
    server.add_user("poor", "poor's secret")
    failed = steps(rig.config_with(**external(server.authority.issue("poor"))))[-1]
    assert (failed.name, failed.verdict) == ("permissions", Verdict.FAILED)
    assert "set_permissions -p / poor" in failed.way_out


def test_a_certificate_may_stand_beside_a_password(rig: RabbitMQRig, server: OwnServer) -> None:
    rig.config = rig.config_with(**by(server.authority.issue("somebody")))
    assert {step.verdict for step in steps(rig.config)} == {Verdict.OK}
    with opened(rig) as consumer:
        publish(rig, Message(b"both"))
        assert [each.payload for each in collect(consumer, 1)] == [b"both"]


def test_a_broker_that_takes_no_certificates_is_told_apart(
    rig: RabbitMQRig, server: OwnServer
) -> None:
    """Without TLS there is no certificate, and EXTERNAL is not offered: as without the plugin."""
    sound = rig.config_with(**external(server.authority.issue("watcher")))
    plain = sound.model_copy(update={"tls": False, "port": server.port})
    failed = steps(plain)[-1]
    assert (failed.name, failed.verdict) == ("authenticate", Verdict.FAILED)
    assert "nobody in by a client certificate" in failed.words
    assert "rabbitmq_auth_mechanism_ssl" in failed.way_out


def test_an_expired_certificate_of_the_broker_is_told_with_its_date(
    rig: RabbitMQRig, server: OwnServer
) -> None:
    with expired(server):
        failed = steps(rig.config)[-1]
    assert (failed.name, failed.verdict) == ("TLS", Verdict.FAILED)
    assert "broker's certificate expired on 20" in failed.words
    assert "ssl_options.certfile" in failed.way_out
    assert {step.verdict for step in steps(rig.config)} == {Verdict.OK}


@pytest.mark.parametrize("way", [by, external])
def test_an_expired_certificate_of_ours_is_told_with_its_date(
    rig: RabbitMQRig, server: OwnServer, way: Any
) -> None:
    old = server.authority.issue("watcher", days=-1, file="old")
    failed = steps(rig.config_with(**way(old)))[-1]
    assert failed.verdict is Verdict.FAILED
    assert f"The client certificate {str(old.certificate)!r} expired on 20" in failed.words
    assert "renewed" in failed.way_out


def test_a_client_certificate_of_another_authority_is_told(
    rig: RabbitMQRig, server: OwnServer
) -> None:
    folder = server.authority.certificate.parent / "others"
    folder.mkdir(exist_ok=True)
    foreign = Authority(folder, "somebody else").issue("watcher")
    failed = steps(rig.config_with(**external(foreign)))[-1]
    assert failed.verdict is Verdict.FAILED
    assert str(foreign.certificate) in failed.words
    assert "ssl_options.cacertfile" in failed.way_out


def test_an_encrypted_key_is_refused_and_nobody_is_asked(
    rig: RabbitMQRig, server: OwnServer
) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate = server.authority.issue("watcher", file="locked")
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    certificate.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    failed = steps(rig.config_with(**external(certificate)))[-1]
    assert (failed.name, failed.verdict) == ("TLS", Verdict.FAILED)
    assert "cannot be used" in failed.words
    assert "not encrypted" in failed.way_out


def test_signing_in_by_certificate_needs_one() -> None:
    with pytest.raises(ValidationError, match="client certificate file"):
        RabbitMQConfig(authentication="client certificate", tls=True)


@contextmanager
def expired(server: OwnServer) -> Iterator[None]:
    """The node shows a certificate that ended yesterday."""
    files = (server.certificate.certificate, server.certificate.key)
    sound = [file.read_bytes() for file in files]
    server.authority.issue("localhost", days=-1)
    try:
        yield
    finally:
        for file, content in zip(files, sound, strict=True):
            file.write_bytes(content)
