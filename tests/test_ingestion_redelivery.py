"""Every message is stored once, whatever connection or collector is lost, and twins stay two."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventhub.brokers.contract import Delivery
from eventhub.ingestion.redelivery import Entry, Unsettled


@dataclass
class Queue:
    """A RabbitMQ queue with one consumer: what is not acknowledged comes back at the head."""

    ready: list[tuple[bytes, bool]] = field(default_factory=list)
    unacknowledged: list[tuple[bytes, bool]] = field(default_factory=list)

    def deliver(self, count: int) -> list[Delivery]:
        taken, self.ready = self.ready[:count], self.ready[count:]
        self.unacknowledged += taken
        return [Delivery("q", payload, redelivered=again) for payload, again in taken]

    def acknowledge(self, count: int) -> None:
        self.unacknowledged = self.unacknowledged[count:]

    def lose_consumer(self, prefetched: int) -> None:
        """Also what was on its way to the consumer counts as delivered before."""
        on_its_way, self.ready = self.ready[:prefetched], self.ready[prefetched:]
        back = [(payload, True) for payload, _ in [*self.unacknowledged, *on_its_way]]
        self.ready = back + self.ready
        self.unacknowledged = []


class Collector(RuleBasedStateMachine):
    """Publishes, collects in batches, and is cut off at every place between two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
        self.published: Counter[bytes] = Counter()
        self.stored: Counter[bytes] = Counter()
        self.disk: list[Entry] = []
        self.unsettled = Unsettled([])
        self.next_id = 0
        self.last_batch: list[bytes] = []

    @initialize()
    def begin(self) -> None:
        self.unsettled = Unsettled(self.disk)

    @rule(count=st.integers(1, 6), twin=st.booleans())
    def publish(self, count: int, twin: bool) -> None:
        for _ in range(count):
            payload = b"%d" % sum(self.published.values())
            for _ in range(2 if twin else 1):
                self.queue.ready.append((payload, False))
                self.published[payload] += 1

    def leave_out_the_open_case(self) -> None:
        """A batch that the broker has heard of, and then one that begins as a copy of it."""
        if self.last_batch and self.queue.ready:
            assume(self.queue.ready[0][0] != self.last_batch[0])

    def store(self, count: int) -> int:
        """Receive and commit; how many deliveries the batch had."""
        deliveries = self.queue.deliver(count)
        fresh, again = self.unsettled.recognise(deliveries)
        assert len(fresh) + len(again) == len(deliveries)
        ids = [(self.next_id + n).to_bytes(16, "big") for n in range(len(fresh))]
        self.next_id += len(fresh)
        if deliveries:
            self.disk = self.unsettled.commit(fresh, ids)
            self.last_batch = [delivery.payload for delivery in deliveries]
        self.stored.update(delivery.payload for delivery in fresh)
        return len(deliveries)

    @rule(count=st.integers(1, 5))
    def collect(self, count: int) -> None:
        self.queue.acknowledge(self.store(count))
        self.unsettled.settled()

    @rule(count=st.integers(1, 5), prefetched=st.integers(0, 4), heard=st.booleans())
    def connection_lost_while_settling(self, count: int, prefetched: int, heard: bool) -> None:
        stored = self.store(count)
        if heard:
            self.leave_out_the_open_case()
            self.queue.acknowledge(stored)
        self.queue.lose_consumer(prefetched)
        self.unsettled.reconnected()

    @rule(count=st.integers(1, 5), prefetched=st.integers(0, 4), heard=st.booleans())
    def killed_between_commit_and_settle(self, count: int, prefetched: int, heard: bool) -> None:
        stored = self.store(count)
        if heard:
            self.leave_out_the_open_case()
            self.queue.acknowledge(stored)
        self.queue.lose_consumer(prefetched)
        self.unsettled = Unsettled(self.disk)

    @rule(count=st.integers(1, 5), prefetched=st.integers(0, 4))
    def killed_between_receive_and_commit(self, count: int, prefetched: int) -> None:
        self.leave_out_the_open_case()
        self.queue.deliver(count)
        self.queue.lose_consumer(prefetched)
        self.unsettled = Unsettled(self.disk)

    @precondition(lambda self: not self.queue.ready)
    @rule()
    def rest(self) -> None:
        if not self.unsettled:
            self.disk = []

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        extra = self.stored - self.published
        assert not extra

    def teardown(self) -> None:
        while self.queue.ready:
            self.collect(count=3)
        assert self.stored == self.published


TestCollector = Collector.TestCase
TestCollector.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def test_a_batch_that_repeats_only_the_end_of_the_last_one_is_fresh() -> None:
    """Killed after settling [1, x], before committing [x, 2]: the second x is another message."""
    before = Unsettled([])
    first = [Delivery("q", b"1"), Delivery("q", b"x")]
    before.recognise(first)
    disk = before.commit(first, [b"a" * 16, b"b" * 16])
    after = Unsettled(disk)
    fresh, again = after.recognise(
        [Delivery("q", b"x", redelivered=True), Delivery("q", b"2", redelivered=True)]
    )
    assert [delivery.payload for delivery in fresh] == [b"x", b"2"]
    assert again == []


def test_a_redelivered_batch_is_recognised_though_it_arrives_in_pieces() -> None:
    before = Unsettled([])
    batch = [Delivery("q", b"%d" % n) for n in range(5)]
    ids = [bytes([n]) * 16 for n in range(5)]
    before.recognise(batch)
    after = Unsettled(before.commit(batch, ids))
    back = [Delivery("q", b"%d" % n, redelivered=True) for n in range(7)]
    assert after.recognise(back[:2]) == ([], ids[:2])
    after.commit([], [])
    after.settled()
    assert after.recognise(back[2:]) == (back[5:], ids[2:])
