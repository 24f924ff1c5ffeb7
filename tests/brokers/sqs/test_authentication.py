"""Who EventHub is, as far as moto can tell: it checks keys, signatures and IAM policies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.sqs import SQS, SQSConfig
from eventhub.brokers.contract import Step, Verdict
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.sqs import server as servers
from tests.conftest import require
from tests.servers.certificates import self_signed

ROLE = "arn:aws:iam::123456789012:role/watcher"
_OPEN_CALLS = 8
"""What the fixture calls, its start among them, before moto asks for a key that it knows."""


@pytest.fixture(scope="module")
def guarded() -> Iterator[dict[str, Any]]:
    """Settings that reach a moto with one user, who may only assume a role and list queues."""
    require("moto", servers.missing("moto"))
    open_calls = {"INITIAL_NO_AUTH_ACTION_COUNT": str(_OPEN_CALLS)}
    with servers.running("moto", environment=open_calls) as cloud:
        iam = cloud.client("iam")
        iam.create_user(UserName="eventhub")
        key = iam.create_access_key(UserName="eventhub")["AccessKey"]
        iam.put_user_policy(
            UserName="eventhub", PolicyName="p", PolicyDocument=_policy("sqs:ListQueues", "sts:*")
        )
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        iam.create_role(
            RoleName="watcher",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        iam.put_role_policy(RoleName="watcher", PolicyName="p", PolicyDocument=_policy("*"))
        cloud.client("sqs").create_queue(QueueName="orders")
        cloud.client("sns").create_topic(Name="orders")
        yield {
            "endpoint_url": cloud.url,
            "region": "us-east-1",
            "authentication": "access key",
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
            "tap_queue": "orders",
        }


def _policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def check(settings: dict[str, Any], **changes: Any) -> list[Step]:
    return list(SQS().check_connection(SQSConfig.model_validate({**settings, **changes})))


def test_a_wrong_secret_and_an_unknown_key_have_words_of_their_own(guarded: dict[str, Any]) -> None:
    *_, wrong = check(guarded, secret_access_key="hunter2-wrong")
    assert (wrong.name, wrong.verdict) == ("authenticate", Verdict.FAILED)
    assert "secret does not belong" in wrong.words
    *_, unknown = check(guarded, access_key_id="AKIANOBODY")
    assert (unknown.name, unknown.verdict) == ("authenticate", Verdict.FAILED)
    assert "does not know the access key" in unknown.words
    assert "hunter2" not in f"{wrong} {unknown}"


def test_a_missing_permission_is_named(guarded: dict[str, Any]) -> None:
    steps = check(guarded)
    assert "user/eventhub" in next(step.words for step in steps if step.name == "authenticate")
    assert (steps[-1].name, steps[-1].verdict) == ("permissions", Verdict.FAILED)
    assert "sqs:" in steps[-1].words
    assert "README" in steps[-1].way_out


def test_a_role_is_assumed_with_the_access_key(guarded: dict[str, Any]) -> None:
    steps = check(guarded, authentication="role", role_arn=ROLE)
    assert [step.verdict for step in steps] == [Verdict.OK] * len(steps), steps
    assert "assumed-role/watcher/eventhub" in steps[2].words


def test_a_profile_is_read_from_the_users_files(
    guarded: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = guarded["access_key_id"], guarded["secret_access_key"]
    file = tmp_path / "credentials"
    file.write_text(f"[watch]\naws_access_key_id={key}\naws_secret_access_key={secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    steps = check(guarded, authentication="profile", profile="watch", tap_queue="")
    assert steps[-1].verdict is Verdict.OK
    assert "user/eventhub" in steps[2].words
    steps = check(guarded, authentication="role", role_arn=ROLE, profile="watch")
    assert steps[-1].verdict is Verdict.OK, steps


def test_the_default_chain_is_the_environments(
    guarded: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    alone = {"authentication": "default chain", "tap_queue": ""}
    *_, failed = check(guarded, **alone)
    assert (failed.name, failed.verdict) == ("authenticate", Verdict.FAILED)
    assert "has no AWS credentials" in failed.words
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", guarded["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", guarded["secret_access_key"])
    steps = check(guarded, **alone)
    assert steps[-1].verdict is Verdict.OK


def test_a_web_identity_is_exchanged_for_a_role(moto: servers.Cloud, tmp_path: Path) -> None:
    """On a moto that asks for no keys: its own list of open calls lacks this one."""
    token = tmp_path / "token"
    token.write_text("a token of an identity provider")
    settings = {"endpoint_url": moto.url, "region": "us-east-1"}
    told = {"authentication": "web identity", "role_arn": ROLE}
    steps = check(settings, **told, web_identity_token_file=str(token))
    assert steps[-1].verdict is Verdict.OK, steps
    assert "assumed-role/watcher/eventhub" in steps[2].words
    *_, failed = check(settings, **told, web_identity_token_file=str(tmp_path / "none"))
    assert (failed.name, failed.verdict) == ("authenticate", Verdict.FAILED)
    assert str(tmp_path / "none") in failed.words


def test_wrong_credentials_are_a_persons_task_everywhere(guarded: dict[str, Any]) -> None:
    config = SQSConfig.model_validate({**guarded, "secret_access_key": "wrong"})
    consumer = SQS().consumer(config, _observation())
    with pytest.raises(PermanentFailure, match="secret"):
        consumer.open()
    consumer.close()
    for act in (
        lambda: SQS().discover(config),
        lambda: SQS().depth(config).sample(10),
        lambda: SQS().dead_letters(config).claim("orders", 1, 0.1),
        lambda: SQS().publisher(config).publish([_message()], "orders"),
        lambda: (
            SQS()
            .publisher(config)
            .publish([_message()], "arn:aws:sns:us-east-1:123456789012:orders")
        ),
    ):
        with pytest.raises(PermanentFailure, match="secret"):
            act()


def test_tls_is_spoken_and_the_certificate_is_checked(tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    with servers.running("moto", tls=files) as cloud:
        settings = {
            "endpoint_url": cloud.url,
            "region": "us-east-1",
            "authentication": "access key",
            "access_key_id": "test",
            "secret_access_key": "test",
        }
        *_, failed = check(settings)
        assert (failed.name, failed.verdict) == ("tls", Verdict.FAILED)
        assert "not trusted" in failed.words
        steps = check(settings, ca_file=str(files.certificate))
        assert [step.verdict for step in steps] == [Verdict.OK] * 5, steps
        with pytest.raises(PermanentFailure, match="certificate is not trusted"):
            SQS().discover(SQSConfig.model_validate(settings))
        trusting = SQSConfig.model_validate({**settings, "ca_file": str(files.certificate)})
        assert SQS().discover(trusting)
        plain = {**settings, "endpoint_url": str(cloud.url).replace("https", "http")}
        *_, failed = check(plain)
        assert failed.verdict is Verdict.FAILED


def test_the_settings_keep_secrets_apart() -> None:
    config = SQSConfig(access_key_id="AKIA", session_token="s", secret_access_key="t")  # type: ignore[arg-type]
    plain, secrets = config.split()
    assert secrets == {"secret_access_key": "t", "session_token": "s"}
    assert "secret_access_key" not in plain
    assert SQSConfig.join(plain, secrets) == config
    assert config.secrets_go_to() == ["Amazon SQS in the default region"]


def _observation() -> Any:
    from tests.contracts.broker import observation

    return observation()


def _message() -> Any:
    from eventhub.brokers.contract import Message

    return Message(b"1")
