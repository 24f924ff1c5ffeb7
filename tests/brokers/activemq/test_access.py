"""TLS, client certificates, and what the configuration refuses."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from collectors.activemq import ActiveMQ, ActiveMQConfig
from eventhub.brokers.contract import Confirmed, Message, Refused, Verdict
from tests.brokers.activemq.others import flood, message
from tests.brokers.activemq.rig import ActiveMQRig, create
from tests.brokers.activemq.server import LEAST, ActiveMQServer
from tests.contracts.broker import collect, observation, publishing


@pytest.fixture
def rig(server: ActiveMQServer) -> Iterator[ActiveMQRig]:
    made = ActiveMQRig(server)
    yield made
    made.remove()


def secured(rig: ActiveMQRig, **more: Any) -> ActiveMQConfig:
    certificate = rig.server.certificate
    if certificate is None:
        pytest.skip("the certificate of a server that was given is not known")
    port = rig.server.ports["amqps"]
    return rig.config_with(tls=True, port=port, ca_file=str(certificate.certificate), **more)


def observes(config: ActiveMQConfig, rig: ActiveMQRig) -> None:
    consumer = ActiveMQ().consumer(config, observation())
    consumer.open()
    publisher = ActiveMQ().publisher(config)
    payloads = [b"x" * 100_000, b"2"]  # more than a TLS record
    outcomes = publisher.publish([Message(payload) for payload in payloads], rig.target)
    assert all(isinstance(outcome, Confirmed) for outcome in outcomes)
    assert [each.payload for each in collect(consumer, 2)] == payloads
    publisher.close()
    consumer.close()


def test_over_tls_with_a_trusted_authority(rig: ActiveMQRig) -> None:
    config = secured(rig)
    assert [step.verdict for step in ActiveMQ().check_connection(config)] == [Verdict.OK] * 6
    observes(config, rig)


def test_with_a_client_certificate_and_a_password(rig: ActiveMQRig) -> None:
    certificate = rig.server.certificate
    if certificate is None:
        pytest.skip("the certificate of a server that was given is not known")
    files = {
        "client_certificate_file": str(certificate.certificate),
        "client_key_file": str(certificate.key),
    }
    observes(secured(rig, **files), rig)


def test_the_least_permissions_of_the_readme_are_enough(rig: ActiveMQRig) -> None:
    if not rig.server.ours:
        pytest.skip("the users of a server that was given are not known")
    topic, grave = f"least.{rig.installation}", "DLQ.least" if rig.classic else "DLQ"
    config = rig.config_with(user=LEAST, password=LEAST, destinations=[topic])
    assert [step.verdict for step in ActiveMQ().check_connection(config)] == [Verdict.OK] * 5
    consumer = ActiveMQ().consumer(config, observation())
    consumer.open()
    flood(rig.server, f"topic://{topic}", [message(b"1")])
    assert [each.payload for each in collect(consumer, 1)] == [b"1"]
    consumer.close()
    if rig.classic:
        create(rig.server, grave, topic=False)
    letters = ActiveMQ().dead_letters(config)
    letters.peek(grave, 1)
    letters.claim(grave, 0, 0.0)
    letters.close()
    with publishing(rig, config) as publisher:
        [outcome] = publisher.publish([Message(b"2")], f"topic://{topic}")
    assert isinstance(outcome, Refused), "it may not write"


def test_a_certificate_for_another_name_is_refused(rig: ActiveMQRig) -> None:
    config = secured(rig).model_copy(update={"host": "127.0.0.2"})
    *_, failed = ActiveMQ().check_connection(config)
    assert failed.verdict is Verdict.FAILED
    assert failed.name in ("tls", "connect")


def test_certificate_files_that_cannot_be_used_are_named(rig: ActiveMQRig, tmp_path: Any) -> None:
    (tmp_path / "odd.pem").write_text("no certificate")
    config = secured(rig).model_copy(update={"ca_file": str(tmp_path / "odd.pem")})
    *_, failed = ActiveMQ().check_connection(config)
    assert (failed.name, failed.verdict) == ("tls", Verdict.FAILED)
    assert "certificate files" in failed.words


def test_jolokia_that_cannot_be_read_is_a_warning(rig: ActiveMQRig) -> None:
    for changes, words in (
        ({"jolokia_url": "http://127.0.0.1:1/jolokia"}, "cannot be reached"),
        ({"jolokia_url": f"{rig.server.jolokia_url}/../nowhere"}, "cannot be read"),
        ({"jolokia_user": "nobody", "jolokia_password": "wrong-secret"}, "user"),
        ({"flavour": "artemis" if rig.classic else "classic"}, "Is the broker"),
    ):
        config = rig.config_with(**{"destinations": [], **changes})
        *_, last = ActiveMQ().check_connection(config)
        assert (last.name, last.verdict) == ("jolokia", Verdict.WARNING), changes
        assert words in last.words, (changes, last.words)
        assert "wrong-secret" not in last.words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"destinations": ["queue://work"]}, "is a queue"),
        ({"mode": "consume", "destinations": ["topic://orders"]}, "is a topic"),
        ({"mode": "browse", "protocol": "stomp"}, "needs AMQP"),
        ({"mode": "consume", "protocol": "mqtt"}, "knows no queues"),
        ({"ca_file": "/ca.pem"}, "turn TLS on"),
        ({"tls": True, "client_key_file": "/key.pem"}, "needs its client certificate"),
        ({"jolokia_url": "ftp://host"}, "http://"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ActiveMQConfig.model_validate({"host": "broker", **changes})


def test_the_usual_ports_are_known() -> None:
    for protocol, plain, tls in (
        ("amqp", 5672, 5671),
        ("stomp", 61613, 61614),
        ("mqtt", 1883, 8883),
    ):
        config = ActiveMQConfig.model_validate({"host": "broker", "protocol": protocol})
        assert config.address() == f"broker:{plain}"
        assert config.model_copy(update={"tls": True}).address() == f"broker:{tls}"
    assert config.jolokia() == "http://broker:8161/api/jolokia"
