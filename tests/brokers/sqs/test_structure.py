"""Depth, redrive links and dead letters; and a process that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from collectors.sqs.dead_letters import REASON
from eventhub.brokers.contract import Confirmed, Link, Refused
from eventhub.brokers.errors import PermanentFailure
from tests.brokers.sqs.rig import QueueRig, receive_all
from tests.brokers.sqs.server import Cloud
from tests.contracts.broker import claim, collect, mourning, opened


@pytest.fixture
def rig(elasticmq: Cloud) -> Iterator[QueueRig]:
    rig = QueueRig(elasticmq)
    rig.config = rig.config_with(queue_prefix=rig.name)
    yield rig
    rig.remove()


def test_depth_tells_what_waits_what_is_held_and_which_are_dead_letters(rig: QueueRig) -> None:
    grave = rig.bury([b"1", b"2"])
    rig.send(rig.url, [b"%d" % n for n in range(5)])
    receive_all(rig.sqs, rig.url, 1)
    delayed = rig.make_queue("-delayed", DelaySeconds="60")
    rig.send(delayed, [b"later"])
    probe = rig.adapter.depth(rig.config)
    try:
        sampled = probe.sample(100)
    finally:
        probe.close()
    samples = {sample.destination: sample for sample in sampled.samples}
    assert sampled.left_out == 0
    assert set(samples) == {url.rpartition("/")[2] for url in rig.queues}
    own = samples[rig.destination]
    assert (own.waiting or 0) + (own.in_flight or 0) == 5
    assert own.in_flight
    assert not own.dead_letters
    assert (samples[grave.queue].waiting, samples[grave.queue].dead_letters) == (2, True)
    assert samples[f"{rig.name}-delayed"].waiting == 1


def test_when_it_must_choose_it_measures_the_configured_then_the_deepest(rig: QueueRig) -> None:
    shallow, deep = rig.fill(1), rig.fill(9)
    probe = rig.adapter.depth(rig.config)
    try:
        assert len(probe.sample(3).samples) == 3
        chosen = probe.sample(2)
    finally:
        probe.close()
    assert [sample.destination for sample in chosen.samples] == [rig.destination, deep]
    assert chosen.left_out == 1
    assert shallow not in {sample.destination for sample in chosen.samples}


def test_redrive_policies_are_links(rig: QueueRig) -> None:
    grave = rig.bury([b"1"])
    found = {each.name: each for each in rig.adapter.discover(rig.config)}
    assert grave.origin is not None
    work = found[grave.origin]
    assert work.links == (Link(grave.queue, "redrive", "after 2 receives"),)
    assert not work.dead_letters
    assert found[grave.queue].dead_letters
    assert grave.origin in found[grave.queue].detail


def test_a_letter_keeps_its_attributes_and_tells_the_consumers_exception(rig: QueueRig) -> None:
    url = rig.make_queue("-dead")
    attributes = {
        "MT-Fault-Message": "card declined",
        "MT-Fault-ExceptionType": "Shop.PaymentFailed",
        "MT-Fault-InputAddress": "amazonsqs://eu-west-1/payments",
        "MT-Fault-RetryCount": "5",
    }
    rig.sqs.send_message(
        QueueUrl=url,
        MessageBody="x",
        MessageAttributes={
            name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()
        },
    )
    with mourning(rig) as letters:
        [letter] = claim(letters, f"{rig.name}-dead", 1)
    assert (letter.exception, letter.exception_message) == ("Shop.PaymentFailed", "card declined")
    assert (letter.origin, letter.attempts) == ("payments", 5)
    assert letter.reason is None  # no redrive policy names this queue
    assert dict(attributes).items() <= dict(letter.delivery.headers).items()


def test_of_two_sources_only_the_message_itself_can_tell_the_origin(rig: QueueRig) -> None:
    grave = rig.bury([b"1"])
    dead = rig.sqs.get_queue_url(QueueName=grave.queue)["QueueUrl"]
    policy = f'{{"deadLetterTargetArn": "{rig.arn(dead)}", "maxReceiveCount": 7}}'
    rig.make_queue("-second", RedrivePolicy=policy)
    rig.send(dead, [b"put here by hand"])
    with mourning(rig) as letters:
        found = {letter.delivery.payload: letter for letter in claim(letters, grave.queue, 2)}
    redriven, by_hand = found[b"1"], found[b"put here by hand"]
    assert (redriven.origin, redriven.reason, redriven.attempts) == (grave.origin, REASON, 2)
    assert (by_hand.origin, by_hand.attempts) == (None, None)


def test_many_letters_are_claimed_and_removed_in_tens(rig: QueueRig) -> None:
    name = rig.fill(35)
    with mourning(rig) as letters:
        found = claim(letters, name, 35)
        assert len({letter.delivery.position for letter in found}) == 35
        outcomes = letters.remove(found)
        assert [type(outcome) for outcome in outcomes] == [Confirmed] * 35
        [again] = letters.remove(found[:1])
        assert isinstance(again, Confirmed | Refused)  # Amazon confirms, ElasticMQ refuses
    assert rig.waiting(rig.sqs.get_queue_url(QueueName=name)["QueueUrl"]) == 0


def test_letters_of_a_missing_queue_need_a_person(rig: QueueRig) -> None:
    with mourning(rig) as letters, pytest.raises(PermanentFailure, match="no queue 'none-such'"):
        letters.claim("none-such", 1, 0.1)


def test_a_killed_process_loses_nothing_that_it_had_not_settled(rig: QueueRig) -> None:
    program = (
        "import sys\n"
        "from collectors.sqs import SQS, SQSConfig\n"
        "from tests.contracts.broker import observation\n"
        "config = SQSConfig.model_validate_json(sys.argv[1])\n"
        "consumer = SQS().consumer(config, observation())\n"
        "consumer.open()\n"
        "got = settled = 0\n"
        "while got < 60:\n"
        "    received = consumer.receive(20, 5)\n"
        "    got += len(received.deliveries)\n"
        "    if got <= 30:\n"
        "        consumer.settle(received)\n"
        "        settled = got\n"
        "print(settled, flush=True)\n"
        "sys.stdin.read()\n"
    )
    rig.config = rig.config_with(visibility_seconds=5)
    rig.send(rig.url, [b"%d" % n for n in range(100)])
    secret = ',"secret_access_key":"test"}'
    text = rig.config.model_dump_json(exclude={"secret_access_key", "session_token"})[:-1] + secret
    child = subprocess.Popen(
        [sys.executable, "-c", program, text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    settled = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    killed = time.monotonic()
    with opened(rig) as consumer:
        left = collect(consumer, 100 - settled)
        assert time.monotonic() - killed < 12
        assert consumer.receive(10, 0.3).deliveries == []
    assert len({delivery.payload for delivery in left}) == 100 - settled
    assert any(delivery.redelivered for delivery in left)
