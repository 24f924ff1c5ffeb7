"""Several collectors share a source: each partition is read by one of them, whatever changes."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from collectors.kafka.share import Share
from eventhub.brokers.contract import StartFrom
from tests.brokers.kafka.rig import KafkaRig
from tests.brokers.kafka.seen import Seen, count, seen
from tests.contracts.broker import opened
from tests.installation import Installation
from tests.test_collect import collectors, until

PARTITIONS = 4


@pytest.fixture
def topic(rig: KafkaRig) -> str:
    """Of four partitions; the rig's consumers read it, and what begins with its name."""
    name = f"wide-{uuid4().hex}"
    rig.create(name, PARTITIONS)
    rig.config = rig.with_(topics=[f"{name}*"])
    return name


def partitions_of(topic: str, share: int, shares: int) -> list[int]:
    return [n for n in range(PARTITIONS) if Share(share, shares).has((topic, n))]


def begun(topic: str, shares: int) -> Callable[[int], Callable[[Seen], bool]]:
    """Whether a share has told where it begins in each of its partitions."""

    def of_share(share: int) -> Callable[[Seen], bool]:
        parts = {f"{topic}/{number}" for number in partitions_of(topic, share, shares)}
        return lambda told: parts <= told.checkpoint.keys()

    return of_share


def has_read(topic: str, shares: int, each: int) -> Callable[[int], Callable[[Seen], bool]]:
    """Whether a share has read so many records of each of its partitions."""
    return lambda share: count(each * len(partitions_of(topic, share, shares)))


def send(rig: KafkaRig, topic: str, first: int, each: int) -> list[bytes]:
    """Numbered records, so many to each partition."""
    payloads = [b"%d" % n for n in range(first, first + each * PARTITIONS)]
    for n, payload in enumerate(payloads):
        rig.producer.produce(topic, payload, partition=n % PARTITIONS)
    assert rig.producer.flush(20) == 0
    return payloads


def read(
    rig: KafkaRig,
    checkpoint: dict[str, str],
    shares: int,
    enough: Callable[[int], Callable[[Seen], bool]],
    **more: Any,
) -> list[Seen]:
    """What the shares tell, one after the other; the checkpoint goes on with each."""
    told: list[Seen] = []
    for share in range(shares):
        with opened(
            rig, share=share, shares=shares, checkpoint=dict(checkpoint), **more
        ) as consumer:
            told.append(seen(consumer, enough(share)))
        checkpoint |= told[-1].checkpoint
    return told


def payloads_of(told: list[Seen]) -> list[bytes]:
    return sorted(payload for each in told for payload in each.payloads)


def test_each_partition_has_one_share_and_topics_spread() -> None:
    for shares in range(1, 17):
        every = [Share(number, shares) for number in range(shares)]
        for topic in ("orders", "payments"):
            sizes = [sum(share.has((topic, n)) for n in range(64)) for share in every]
            assert sum(sizes) == 64
            assert max(sizes) - min(sizes) <= 1
        firsts = {share for share in every for n in range(400) if share.has((f"topic-{n}", 0))}
        assert len(firsts) == shares
    assert Share(1, 4).has(("orders", 3)), "who has it must never change: others go on there"


def test_shares_read_each_record_once_between_them(rig: KafkaRig, topic: str) -> None:
    with opened(rig, shares=2) as zero, opened(rig, share=1, shares=2) as one:
        told = [seen(each, begun(topic, 2)(share)) for share, each in enumerate((zero, one))]
        sent = send(rig, topic, 0, 10)
        for share, consumer in enumerate((zero, one)):
            told[share].drain(consumer, count(20))
    assert payloads_of(told) == sorted(sent)
    assert not told[0].checkpoint.keys() & told[1].checkpoint.keys(), "each moves its own parts"


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_shares_goes_on_where_the_old_ones_stopped(
    rig: KafkaRig, topic: str, before: int, after: int
) -> None:
    checkpoint: dict[str, str] = {}
    read(rig, checkpoint, before, begun(topic, before))
    sent = send(rig, topic, 0, 5)
    told = read(rig, checkpoint, before, has_read(topic, before, 5))
    sent += send(rig, topic, 100, 5)
    told += read(rig, checkpoint, after, has_read(topic, after, 5))
    assert payloads_of(told) == sorted(sent)
    assert [each.gaps for each in told] == [[]] * len(told)


def test_a_share_that_begins_after_another_begins_where_the_source_does(
    rig: KafkaRig, topic: str
) -> None:
    """Not at the beginning, as in what has appeared since the other began."""
    sent = send(rig, topic, 0, 2)
    told = read(rig, {}, 2, begun(topic, 2))
    places = [each.offset(f"{topic}/{n}") for each in told for n in range(PARTITIONS)]
    assert Counter(places) == {"2": PARTITIONS, "": PARTITIONS}, "each share at the end, of its own"
    told = read(rig, {}, 2, has_read(topic, 2, 2), start=StartFrom.EARLIEST)
    assert payloads_of(told) == sorted(sent)


def test_what_appears_later_is_read_from_its_beginning_whoever_gets_it(
    rig: KafkaRig, topic: str
) -> None:
    checkpoint: dict[str, str] = {}
    read(rig, checkpoint, 2, begun(topic, 2))
    for shares, later in ((2, f"{topic}-b"), (3, f"{topic}-c")):
        rig.create(later, PARTITIONS)
        sent = send(rig, later, 0, 1)
        told = read(rig, checkpoint, shares, has_read(later, shares, 1))
        assert payloads_of(told) == sorted(sent)


def test_a_share_tells_the_gaps_of_its_own_partitions(rig: KafkaRig, topic: str) -> None:
    checkpoint: dict[str, str] = {}
    read(rig, checkpoint, 2, begun(topic, 2))
    send(rig, topic, 0, 3)
    rig.truncate(topic, before=3, partition=partitions_of(topic, 1, 2)[0])
    zero, one = read(
        rig, checkpoint, 2, lambda share: lambda told: len(told.payloads) + 3 * len(told.gaps) >= 6
    )
    assert len(zero.payloads) == 6
    assert zero.gaps == []
    assert [(gap.missed, gap.destination) for gap in one.gaps] == [(3, topic)]


def test_each_share_notices_a_topic_that_was_made_again(rig: KafkaRig, topic: str) -> None:
    """Also the one that comes after another has noticed."""
    checkpoint: dict[str, str] = {}
    read(rig, checkpoint, 2, begun(topic, 2))
    rig.remake(topic, PARTITIONS)
    sent = send(rig, topic, 0, 2)
    told = read(rig, checkpoint, 2, has_read(topic, 2, 2))
    assert payloads_of(told) == sorted(sent)
    for each in told:
        [gap] = each.gaps
        assert "made again" in gap.reason


def test_a_checkpoint_from_before_shares_is_gone_on_from(rig: KafkaRig, topic: str) -> None:
    """It held a topic's id apart, and not beside each offset."""
    checkpoint: dict[str, str] = {}
    read(rig, checkpoint, 1, begun(topic, 1))
    old = {part: value.split(" ")[0] for part, value in checkpoint.items() if part != "/topics"}
    old |= {"/topics": checkpoint["/topics"], topic: checkpoint[f"{topic}/0"].split(" ")[1]}
    sent = send(rig, topic, 0, 2)
    told = read(rig, dict(old), 2, has_read(topic, 2, 2))
    assert payloads_of(told) == sorted(sent)
    assert [each.gaps for each in told] == [[], []]
    rig.remake(topic, PARTITIONS)
    send(rig, topic, 100, 1)
    told = read(rig, dict(old), 1, has_read(topic, 1, 1))
    assert len(told[0].gaps) == 1


# With the whole of EventHub around it


class Stream:
    """Numbered records to the partitions of a topic in turn, while the block lasts."""

    def __init__(self, rig: KafkaRig, topic: str) -> None:
        self._rig = rig
        self._topic = topic
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self._rig.producer.flush(20) == 0

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            payload = b"%d" % self.sent
            self._rig.producer.produce(self._topic, payload, partition=self.sent % PARTITIONS)
            self._rig.producer.poll(0)
            self.sent += 1


def states(installation: Installation, source: int) -> dict[int, str]:
    sql = f"SELECT share, state FROM sources_collectorstatus WHERE source_id = {source}"
    return dict(installation.rows(sql))


def holders(installation: Installation) -> dict[int, str]:
    """By share."""
    return dict(installation.rows("SELECT share, holder FROM sources_sourcelease"))


def divide(installation: Installation, source: int, collectors: int) -> None:
    installation.ask(
        "from eventhub.sources.models import Source\n"
        f"source = Source.objects.get(pk={source})\n"
        f"changed = source.configuration().model_copy(update={{'collectors': {collectors}}})\n"
        "source.configure(changed)\n"
        "source.revision += 1\n"
        "source.save()\n"
        "answer = source.shares"
    )


def test_two_hosts_share_a_source_and_one_goes_on_alone(
    rig: KafkaRig, topic: str, tmp_path: Path, redis_server: Any, postgres: Any
) -> None:
    """Each record is stored once: when a host does not hear that its collector of everything
    became two, and when that host is killed."""
    installation = Installation(tmp_path, redis_server.url, postgres.new_database("shares"))
    source = installation.add_source(
        "wide", "kafka", bootstrap_servers=[rig.server.address], topics=[topic]
    )
    hosts = [installation.collect(), installation.collect()]

    def stored_more() -> Callable[[], bool]:
        mark = installation.events() + 100
        return lambda: installation.events() >= mark

    wait = partial(until, supervisor=hosts[0])
    try:
        wait(lambda: states(installation, source) == {0: "up"}, "one collector up")
        with Stream(rig, topic) as stream:
            wait(stored_more(), "events by one collector")
            [first] = [host for host in hosts if collectors(host)]
            [everything] = collectors(first)
            os.kill(first.pid, signal.SIGSTOP)
            divide(installation, source, 2)
            wait(lambda: len(set(holders(installation).values())) == 2, "both hosts hold some")
            wait(lambda: not everything.is_running(), "the collector of everything refused")
            os.kill(first.pid, signal.SIGCONT)
            wait(lambda: [len(collectors(host)) for host in hosts] == [1, 1], "one share each")
            wait(lambda: states(installation, source) == {0: "up", 1: "up"}, "two collectors up")
            wait(stored_more(), "events by two collectors")
            first.kill()
            wait(lambda: is_alone(holders(installation)), "the other holds all", seconds=30)
            wait(stored_more(), "events by the other host")
        wait(lambda: installation.events() >= stream.sent, "all events")
        stored = Counter(payload for (payload,) in installation.rows("SELECT payload FROM events"))
        assert stored == Counter(b"%d" % n for n in range(stream.sent))
        assert installation.rows("SELECT reason FROM gaps") == []
    finally:
        for host in hosts:
            host.kill()


def is_alone(held: dict[int, str]) -> bool:
    return len(held) == 2 and len(set(held.values())) == 1
