"""Every way to sign in, and what a user who may not is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from collectors.kafka.config import KafkaConfig
from eventhub.brokers.contract import Confirmed, Message, Refused, Verdict
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.kafka import tokens
from tests.brokers.kafka.certificates import KEY_PASSWORD
from tests.brokers.kafka.rig import KafkaRig
from tests.brokers.kafka.server import PASSWORD, USER, KafkaServer
from tests.contracts.broker import collect, observation, opened, publishing


@pytest.fixture
def rig(node: KafkaServer) -> KafkaRig:
    return KafkaRig(node)


@pytest.fixture(scope="module")
def token_endpoint() -> Iterator[str]:
    with tokens.endpoint() as url:
        yield url


def password(mechanism: str) -> dict[str, Any]:
    return {"authentication": mechanism, "user": USER, "password": SecretStr(PASSWORD)}


def oauth(url: str, secret: str = tokens.SECRET) -> dict[str, Any]:
    return {
        "authentication": "oauthbearer",
        "token_endpoint": url,
        "client_id": tokens.CLIENT,
        "client_secret": SecretStr(secret),
        "scope": "kafka",
    }


def works(rig: KafkaRig, config: KafkaConfig) -> None:
    """Checks, observes and publishes."""
    steps = list(rig.adapter.check_connection(config))
    assert [step for step in steps if step.verdict is not Verdict.OK] == []
    rig.config = config
    with opened(rig) as consumer, publishing(rig) as publisher:
        [outcome] = publisher.publish([Message(b"1")], rig.target)
        assert isinstance(outcome, Confirmed), outcome
        assert collect(consumer, 1)[0].payload == b"1"


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_a_user_signs_in_with_a_password(rig: KafkaRig, node: KafkaServer, mechanism: str) -> None:
    works(rig, rig.at(node.sasl_port, **password(mechanism)))


def test_a_user_signs_in_within_tls(rig: KafkaRig, node: KafkaServer) -> None:
    tls = {"tls": True, "ca_file": str(node.certificates.authority)}
    works(rig, rig.at(node.sasl_tls_port, **tls, **password("scram-sha-512")))


def test_a_client_certificate_signs_in(rig: KafkaRig, node: KafkaServer) -> None:
    files = node.certificates
    config = rig.at(
        node.tls_port,
        tls=True,
        ca_file=str(files.authority),
        authentication="client certificate",
        client_certificate_file=str(files.client),
        client_key_file=str(files.client_key),
        client_key_password=SecretStr(KEY_PASSWORD),
    )
    works(rig, config)


def test_a_token_signs_in(rig: KafkaRig, node: KafkaServer, token_endpoint: str) -> None:
    works(rig, rig.at(node.sasl_port, **oauth(token_endpoint)))


def test_a_token_that_is_not_given_has_words(
    rig: KafkaRig, node: KafkaServer, token_endpoint: str
) -> None:
    config = rig.at(node.sasl_port, **oauth(token_endpoint, "hunter2-wrong"))
    *_, failed = rig.adapter.check_connection(config)
    assert (failed.name, failed.verdict) == ("authenticate", Verdict.FAILED)
    assert "token" in failed.words
    assert "client ID" in failed.way_out
    assert "hunter2" not in failed.words


def test_a_wrong_password_needs_a_person(rig: KafkaRig, node: KafkaServer) -> None:
    wrong = {**password("plain"), "password": SecretStr("hunter2-wrong")}
    consumer = rig.adapter.consumer(rig.at(node.sasl_port, **wrong), observation())
    with pytest.raises(PermanentFailure, match="refused the name or the password"):
        consumer.open()
    consumer.close()


def test_a_topic_that_is_forbidden_has_words_of_its_own(rig: KafkaRig, node: KafkaServer) -> None:
    rig.forbid(rig.destination, "stranger")
    rig.config = rig.at(node.sasl_port, **{**password("plain"), "user": "stranger"})
    refusal = pytest.raises(PermanentFailure, match=f"may not read '{rig.destination}'")
    with refusal, opened(rig) as consumer:
        collect(consumer, 1)
    with publishing(rig) as publisher:
        [outcome] = publisher.publish([Message(b"1")], rig.target)
    assert isinstance(outcome, Refused)
    assert "may not write" in outcome.reason


def test_a_topic_that_is_hidden_has_words_of_its_own(rig: KafkaRig, node: KafkaServer) -> None:
    rig.hide(rig.destination, "stranger")
    rig.config = rig.at(node.sasl_port, **{**password("plain"), "user": "stranger"})
    *_, failed = rig.adapter.check_connection(rig.config)
    assert failed.name == "permissions"
    assert "may not read" in failed.words
    assert "User:stranger" in failed.way_out
    with publishing(rig) as publisher:
        [outcome] = publisher.publish([Message(b"1")], rig.target)
    assert isinstance(outcome, Refused)


def test_no_right_to_any_group_is_needed(rig: KafkaRig, node: KafkaServer) -> None:
    """librdkafka asks who would coordinate the group that it insists on being named."""
    rig.hide_groups("stranger")
    rig.config = rig.at(node.sasl_port, **{**password("plain"), "user": "stranger"})
    try:
        with opened(rig) as consumer:
            rig.flood([b"1"])
            assert collect(consumer, 1)[0].payload == b"1"
        assert all(found.links == () for found in rig.adapter.discover(rig.config))
    finally:
        rig.show_groups("stranger")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bootstrap_servers": []}, "bootstrap_servers"),
        ({"bootstrap_servers": [" , "]}, "at least one"),
        ({"bootstrap_servers": ["a:b"]}, "no address"),
        ({"bootstrap_servers": ["a/b"]}, "no address"),
        ({"authentication": "plain"}, "needs a user and a password"),
        ({"authentication": "client certificate"}, "needs its file"),
        ({"authentication": "client certificate", "client_certificate_file": "x"}, "needs TLS"),
        ({"authentication": "oauthbearer"}, "client ID"),
        (oauth("ftp://x"), "token endpoint"),
    ],
)
def test_what_is_missing_is_said(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        KafkaConfig.model_validate({"bootstrap_servers": ["a"], **given})


def test_addresses_are_told_apart_and_completed() -> None:
    config = KafkaConfig(
        bootstrap_servers=["kafka1, kafka2:9093", "SASL_SSL://kafka3:9094", "[::1]:9092", "kafka1"]
    )
    assert config.address() == "kafka1:9092, kafka2:9093, kafka3:9094, [::1]:9092"
    assert config.hosts()[-1] == ("::1", 9092)
    assert config.secrets_go_to() == config.bootstrap_servers
