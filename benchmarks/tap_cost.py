#!/usr/bin/env python3
"""What EventHub's tap costs a publisher.

On RabbitMQ, while the tap overflows: a publisher with confirms sends persistent 1 KB messages to an
exchange with a work queue, at most 500 of them not confirmed yet. The baseline is its rate with an
ordinary durable queue beside the work queue; the value is its rate with EventHub's tap there
instead, full and dropping a message for each that comes. Rounds of both alternate on one broker;
each begins with new queues.

On Redis: a publisher pipelines 1 KB messages to a channel with a subscriber. The baseline is its
rate with a second plain subscriber beside it, the value with EventHub's in its place.

    python benchmarks/tap_cost.py [--quick] [--json]
"""

import argparse
import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from redis import Redis

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.figures import Figure, median, print_figures  # noqa: E402
from collectors.rabbitmq import RabbitMQ, RabbitMQConfig  # noqa: E402
from collectors.rabbitmq.connection import connect  # noqa: E402
from collectors.rabbitmq.translate import properties  # noqa: E402
from collectors.rabbitmq.wire import Wire  # noqa: E402
from collectors.redis_pubsub import RedisPubSub  # noqa: E402
from collectors.redis_pubsub.config import RedisPubSubConfig  # noqa: E402
from eventhub.brokers.contract import Message, Observation  # noqa: E402
from tests.brokers.rabbitmq import server as rabbitmq  # noqa: E402
from tests.brokers.redis_pubsub import server as redis  # noqa: E402

EXCHANGE = "orders"
WORK, EXTRA = "work", "extra"
TAP_SIZE = 100
UNCONFIRMED = 500
PIPELINED = 200
MESSAGE = Message(b"x" * 1_000, type="OrderPlaced", headers=[("tenant", "acme")])
OBSERVATION = Observation(source_id=1, name="cost", installation="benchmark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the whole run under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    rounds, count = (7, 2_000) if options.quick else (15, 30_000)
    figures = [_rabbitmq(rounds, count), _redis(rounds, 5 * count)]
    print_figures(figures, as_json=options.json)


def _redis(rounds: int, count: int) -> Figure:
    beside_plain: list[float] = []
    beside_tap: list[float] = []
    cases = [(_subscribe, beside_plain), (_observe, beside_tap)]
    with redis.running() as server:
        for number in range(rounds + 1):
            for read, rates in cases if number % 2 else reversed(cases):
                with _readers(server.port, [_subscribe, read]):
                    rate = _publish_redis(server.port, count)
                if number:
                    rates.append(rate)
    return _figure("redis publisher", "messages/s", beside_tap, beside_plain)


def _publish_redis(port: int, count: int) -> float:
    with Redis(port=port) as client:
        began = time.perf_counter()
        for _ in range(count // PIPELINED):
            pipeline = client.pipeline(transaction=False)
            for _ in range(PIPELINED):
                pipeline.publish(EXCHANGE, MESSAGE.payload)
            pipeline.execute()
        return count / (time.perf_counter() - began)


@contextlib.contextmanager
def _readers(port: int, reads: list[Callable[[int, Any], None]]) -> Iterator[None]:
    """Processes that subscribe and read until the block ends."""
    forking = multiprocessing.get_context("fork")
    ready = forking.Semaphore(0)
    processes = [forking.Process(target=read, args=(port, ready)) for read in reads]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _subscribe(port: int, ready: Any) -> None:
    pubsub = Redis(port=port).pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe(EXCHANGE)
    pubsub.get_message(timeout=5)
    ready.release()
    while True:
        pubsub.get_message(timeout=1)


def _observe(port: int, ready: Any) -> None:
    config = RedisPubSubConfig(host="127.0.0.1", port=port, patterns=[EXCHANGE])
    consumer = RedisPubSub().consumer(config, OBSERVATION)
    consumer.open()
    ready.release()
    while True:
        consumer.receive(1_000, 1)


def _rabbitmq(rounds: int, count: int) -> Figure:
    with rabbitmq.running() as server:
        config = RabbitMQConfig(
            host="127.0.0.1",
            port=server.port,
            password=SecretStr("guest"),
            management_url=server.management_url,
            exchanges=[EXCHANGE],
            tap_max_messages=TAP_SIZE,
        )
        return _measure(config, rounds, count)


def _measure(config: RabbitMQConfig, rounds: int, count: int) -> Figure:
    with_extra: list[float] = []
    with_tap: list[float] = []
    cases = [(_add_queue, with_extra), (_add_tap, with_tap)]
    for number in range(rounds + 1):
        for add, rates in cases if number % 2 else reversed(cases):
            rate = _rate(config, add, count)
            if number:  # the first round warms the broker up
                rates.append(rate)
    return _figure("rabbitmq publisher", "confirmed messages/s", with_tap, with_extra)


def _figure(name: str, unit: str, with_tap: list[float], without: list[float]) -> Figure:
    return Figure(
        name=f"{name} beside the tap",
        unit=unit,
        value=median(with_tap),
        baseline=median(without),
        baseline_name="beside a plain reader's",
        details={"slowest beside the tap": min(with_tap), "slowest without": min(without)},
    )


def _rate(
    config: RabbitMQConfig, add: Callable[[RabbitMQConfig, Wire, Any], None], n: int
) -> float:
    """Confirmed messages a second, with what `add` puts beside the work queue."""
    wire = connect(config, "benchmark")
    channel = wire.open_channel()
    wire.call(channel.exchange_declare, exchange=EXCHANGE, exchange_type="topic")
    _bind(wire, channel, WORK)
    add(config, wire, channel)
    rate = _publish(wire, n)
    for queue in (WORK, EXTRA):
        wire.call(channel.queue_delete, queue=queue)
    wire.leave()
    RabbitMQ().remove_traces(config, OBSERVATION)
    return rate


def _add_queue(_: RabbitMQConfig, wire: Wire, channel: Any) -> None:
    _bind(wire, channel, EXTRA)


def _add_tap(config: RabbitMQConfig, wire: Wire, channel: Any) -> None:
    """The tap as EventHub makes it, filled, and with EventHub gone."""
    consumer = RabbitMQ().consumer(config, OBSERVATION)
    consumer.open()
    consumer.close()
    _publish(wire, TAP_SIZE)
    wire.call(channel.queue_purge, queue=WORK)


def _bind(wire: Wire, channel: Any, queue: str) -> None:
    wire.call(channel.queue_declare, queue=queue, durable=True)
    wire.call(channel.queue_bind, queue=queue, exchange=EXCHANGE, routing_key="#")


def _publish(wire: Wire, count: int) -> float:
    channel = wire.open_channel()
    waiting: set[int] = set()

    def on_confirm(frame: Any) -> None:
        method = frame.method
        assert type(method).__name__ == "Ack", method
        if method.multiple:
            waiting.difference_update([tag for tag in waiting if tag <= method.delivery_tag])
        waiting.discard(method.delivery_tag)

    wire.call(channel.confirm_delivery, ack_nack_callback=on_confirm)
    began = time.perf_counter()
    for tag in range(1, count + 1):
        waiting.add(tag)
        message = properties(MESSAGE)
        wire.send(channel.basic_publish, EXCHANGE, "order.placed", MESSAGE.payload, message)
        wire.wait_for(lambda: len(waiting) < UNCONFIRMED, 60, "confirm")
    wire.wait_for(lambda: not waiting, 60, "confirm")
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
