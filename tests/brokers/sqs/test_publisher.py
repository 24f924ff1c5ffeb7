"""What is sent, in which batches, and what is said of each message."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore import exceptions as boto

from collectors.sqs.refusals import code_of, refusal, was_not_sent
from eventhub.brokers.contract import Confirmed, Message, Refused
from eventhub.brokers.errors import NotConnected, PermanentFailure
from eventhub.events.headers import Header
from tests.brokers.sqs.rig import QueueRig, receive_all
from tests.brokers.sqs.server import Cloud
from tests.contracts.broker import collect, opened, publishing
from tests.servers.process import free_port


@pytest.fixture
def rig(elasticmq: Cloud) -> Iterator[QueueRig]:
    rig = QueueRig(elasticmq)
    yield rig
    rig.remove()


def test_large_messages_go_in_batches_that_fit(rig: QueueRig) -> None:
    """Ten of 300 KB are more than the 1 MiB that one request may hold."""
    sent = [b"%d" % n * 300_000 for n in range(10)]
    with opened(rig) as consumer, publishing(rig) as publisher:
        outcomes = publisher.publish([Message(payload) for payload in sent], rig.target)
        assert {type(outcome) for outcome in outcomes} == {Confirmed}
        assert sorted(each.payload for each in collect(consumer, 10)) == sent


def test_what_another_consumer_gets_is_what_was_published(rig: QueueRig) -> None:
    headers: list[Header] = [("n", 7), ("sqs.type.n", "Number.count"), ("sqs.SenderId", "somebody")]
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    with publishing(rig) as publisher:
        message = Message(b"x", key="eu", headers=[*headers, ("sqs.AWSTraceHeader", trace)])
        publisher.publish([message], rig.target)
    [got] = receive_all(rig.sqs, rig.url, 1)
    assert got["MessageAttributes"] == {"n": {"DataType": "Number.count", "StringValue": "7"}}
    assert got["Attributes"]["MessageGroupId"] == "eu"
    assert got["Attributes"]["AWSTraceHeader"] == trace
    assert got["Attributes"]["SenderId"] != "somebody"


def test_a_queue_can_be_named_by_its_url(rig: QueueRig) -> None:
    with publishing(rig) as publisher:
        [outcome] = publisher.publish([Message(b"x")], rig.url)
    assert isinstance(outcome, Confirmed)
    assert outcome.detail
    assert rig.waiting(rig.url) == 1


def test_a_header_that_cannot_be_carried_refuses_its_message_alone(rig: QueueRig) -> None:
    with publishing(rig) as publisher:
        bad = Message(b"bad", headers=[("flag", True)])
        first, odd, last = publisher.publish([Message(b"1"), bad, Message(b"2")], rig.target)
    assert isinstance(first, Confirmed)
    assert isinstance(last, Confirmed)
    assert isinstance(odd, Refused)
    assert "'flag'" in odd.reason


def test_a_queue_that_was_removed_is_refused_and_found_when_it_is_back(rig: QueueRig) -> None:
    with publishing(rig) as publisher:
        assert isinstance(publisher.publish([Message(b"1")], rig.target)[0], Confirmed)
        rig.sqs.delete_queue(QueueUrl=rig.url)
        [gone] = publisher.publish([Message(b"2")], rig.target)
        assert isinstance(gone, Refused)
        rig.make_queue()
        assert isinstance(publisher.publish([Message(b"3")], rig.target)[0], Confirmed)


def test_where_nothing_listens_nothing_was_sent(rig: QueueRig) -> None:
    config = rig.config_with(endpoint_url=f"http://127.0.0.1:{free_port()}")
    with publishing(rig, config) as publisher:
        for target in (rig.target, rig.url):
            with pytest.raises(NotConnected, match="Nothing listens"):
                publisher.publish([Message(b"1")], target)


def test_an_address_that_is_denied_is_never_spoken_to(
    rig: QueueRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTHUB_BROKER_DENY", "127.0.0.0/8")
    with publishing(rig) as publisher, pytest.raises(PermanentFailure, match="may not have"):
        publisher.publish([Message(b"1")], rig.target)
    with pytest.raises(PermanentFailure, match="may not have"):
        rig.adapter.discover(rig.config)
    assert rig.waiting(rig.url) == 0


def answered(code: str, message: str = "because", status: int = 400) -> Any:
    told = {"Code": code, "Message": message}
    metadata = {"HTTPStatusCode": status}
    return boto.ClientError({"Error": told, "ResponseMetadata": metadata}, "SendMessage")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answered("RequestThrottled"), NotConnected, "cannot serve us now"),
        (answered("Whatever", status=503), NotConnected, "cannot serve us now"),
        (answered("InvalidClientTokenId"), PermanentFailure, "does not know the access key"),
        (answered("ExpiredToken"), PermanentFailure, "have expired"),
        (answered("AccessDenied", "not authorized"), PermanentFailure, "not authorized"),
        (answered("QueueDoesNotExist"), PermanentFailure, "It is not there"),
        (answered("InvalidParameterValue"), PermanentFailure, "InvalidParameterValue: because"),
        (answered("InvalidAction"), PermanentFailure, "does not know what was asked"),
        (
            answered("403", "<E><Code>AccessDenied</Code><Message>no</Message></E>", 403),
            PermanentFailure,
            "does not allow sending: no",
        ),
        (boto.ReadTimeoutError(endpoint_url="u"), NotConnected, "No answer in time"),
        (boto.ConnectionClosedError(endpoint_url="u"), NotConnected, "connection was lost"),
        (boto.NoRegionError(), PermanentFailure, "No region"),
        (boto.NoCredentialsError(), PermanentFailure, "no AWS credentials"),
        (boto.ProfileNotFound(profile="p"), PermanentFailure, "p"),
    ],
)
def test_each_failure_says_what_to_do(error: Exception, kind: type, words: str) -> None:
    problem = refusal(error, "sending")
    assert type(problem) is kind
    assert words in str(problem)


def test_only_a_lost_answer_leaves_it_open_whether_a_message_was_sent() -> None:
    assert was_not_sent(boto.EndpointConnectionError(endpoint_url="u"))
    assert was_not_sent(boto.ConnectTimeoutError(endpoint_url="u"))
    assert was_not_sent(boto.HTTPClientError(error=NotConnected("Nothing listens.")))
    assert not was_not_sent(boto.ReadTimeoutError(endpoint_url="u"))
    assert not was_not_sent(boto.ConnectionClosedError(endpoint_url="u"))
    assert not was_not_sent(boto.HTTPClientError(error=OSError("broken pipe")))
    assert code_of(boto.ReadTimeoutError(endpoint_url="u")) == ""
