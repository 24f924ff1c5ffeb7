#!/usr/bin/env python3
"""A broker full of 1 KB events, collected end to end: receive, commit, settle, announce.

Beside it, in the same run: what the raw client receives, and what COPY (or executemany) writes
of the same rows into a table with the same columns and indexes. The ratio is to the smaller.

Redis Pub/Sub keeps nothing, so nothing can wait there. Its figure is the highest publishing rate
that is stored without a gap and as fast as it comes, and its raw client's the highest that it
hands over so.

    python benchmarks/ingest.py [--quick] [--json] [--broker KIND] [--store ENGINE]
"""

import argparse
import contextlib
import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import raw  # noqa: E402
from benchmarks.figures import Figure, median, print_figures  # noqa: E402
from eventhub.brokers.errors import BrokerError  # noqa: E402
from tests.brokers.kafka import server as kafka  # noqa: E402
from tests.brokers.rabbitmq import server as rabbitmq  # noqa: E402
from tests.brokers.redis_pubsub import server as redis  # noqa: E402
from tests.installation import Installation  # noqa: E402
from tests.servers import postgres  # noqa: E402

BROKERS = ("rabbitmq", "redis_pubsub", "kafka")
STORES = ("postgres", "sqlite")
_BLANK = "blank"
PAYLOAD = json.dumps(
    {"order": 47112, "amount": 318.4, "currency": "EUR", "items": ["A-17"], "note": "x" * 700}
).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the whole run under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--broker", choices=BROKERS, action="append")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(_cell(json.loads(options.cell))))
        return
    with contextlib.ExitStack() as stack:
        wanted: dict[str, contextlib.AbstractContextManager[Any]] = {"redis": redis.running()}
        if "rabbitmq" in (options.broker or BROKERS):
            wanted["rabbitmq"] = rabbitmq.running()
        if "kafka" in (options.broker or BROKERS):
            wanted["kafka"] = kafka.running()
        if "postgres" in (options.store or STORES):
            wanted["postgres"] = postgres.running(fsync=True)
        servers = _started(stack, wanted)
        blanks = {store: _blank(stack, servers, store) for store in options.store or STORES}
        figures: list[Figure] = []
        for broker in options.broker or BROKERS:
            received = 0.0
            for store, blank in blanks.items():
                figure = _measure(servers, blank, broker, store, received, quick=options.quick)
                figures.append(figure)
                # A quick run measures the raw client once.
                received = figure.details["raw client"] if options.quick else 0.0
    print_figures(figures, as_json=options.json)


def _started(
    stack: contextlib.ExitStack, wanted: dict[str, contextlib.AbstractContextManager[Any]]
) -> dict[str, Any]:
    """All at once: most of it is waiting."""
    with ThreadPoolExecutor() as pool:
        started = pool.map(lambda server: stack.enter_context(server), wanted.values())
        servers = dict(zip(wanted, started, strict=True))
    for server in servers.values():
        # They keep nothing that is needed: no reason to wait for them to leave.
        stack.callback(server.kill)
    return servers


def _blank(stack: contextlib.ExitStack, servers: dict[str, Any], store: str) -> Installation:
    """An installation whose tables are made, to be copied for each measurement."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="eventhub-bench-"))
    url = servers["postgres"].new_database(_BLANK) if store == "postgres" else None
    return Installation(Path(folder), servers["redis"].url, url)


def _measure(
    servers: dict[str, Any],
    blank: Installation,
    broker: str,
    store: str,
    known_receive: float,
    *,
    quick: bool,
) -> Figure:
    """One broker into one store, in a process of its own; medians of the runs."""
    with tempfile.TemporaryDirectory(prefix="eventhub-bench-") as folder:
        shutil.copytree(blank.folder, folder, dirs_exist_ok=True)
        environment = {**blank.environment, "EVENTHUB_DATA_DIR": folder}
        url = None
        if store == "postgres":
            url = servers["postgres"].new_database(broker, template=_BLANK)
            environment["DATABASE_URL"] = url
        task = {
            "broker": broker,
            "port": servers["redis" if broker == "redis_pubsub" else broker].port,
            "url": servers["rabbitmq"].url if broker == "rabbitmq" else "",
            "management": servers["rabbitmq"].management_url if broker == "rabbitmq" else "",
            "database": url,
            "folder": folder,
            # Kafka hands over so many a second that less would be over before it is measured.
            "events": (4 if broker == "kafka" else 1) * (5_000 if quick else 60_000),
            "seconds": 0.4 if quick else 4.0,
            "quiet": 0.25 if quick else 1.5,
            # The search for a rate is many trials already.
            "runs": 1 if quick or broker == "redis_pubsub" else 3,
            "narrowed": 1 if quick else 4,
            "receive": known_receive,
        }
        done = subprocess.run(
            [sys.executable, __file__, "--cell", json.dumps(task)],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
    result = json.loads(done.stdout.splitlines()[-1])
    smaller = "receive" if result["receive"] <= result["write"] else "write"
    return Figure(
        f"{broker} into {store}",
        "events/s",
        result["collect"],
        result[smaller],
        {"receive": "raw client", "write": "raw rows"}[smaller],
        {"raw client": result["receive"], "raw rows": result["write"]},
    )


def _cell(task: dict[str, Any]) -> dict[str, float]:
    os.chdir(ROOT)
    os.environ["DJANGO_SETTINGS_MODULE"] = "eventhub.settings"
    import django

    django.setup()
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    measure = {"rabbitmq": _rabbitmq, "redis_pubsub": _redis, "kafka": _kafka}[task["broker"]]
    with _event_writer():
        runs = [measure(task, number) for number in range(task["runs"])]
    written = [
        raw.copy_postgres(task["database"], task["events"])
        if task["database"]
        else raw.copy_sqlite(Path(task["folder"]) / "events.sqlite3", task["events"])
        for _ in runs
    ]
    return {
        "collect": median([collected for collected, _ in runs]),
        "receive": median([received for _, received in runs]),
        "write": median(written),
    }


@contextlib.contextmanager
def _event_writer() -> Iterator[None]:
    """The store's own process, where it has one, for as long as the block lasts."""
    from eventhub.store.engine import open_writer, writer_command

    command = writer_command()
    if command is None:
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command], stdin=subprocess.PIPE, stdout=sys.stderr
    )
    try:
        _retry(lambda: open_writer().resume(0))
        yield
    finally:
        process.terminate()
        process.wait()


def _retry(attempt: Callable[[], object]) -> None:
    from eventhub.store.contract import StoreUnavailable

    deadline = time.monotonic() + 20
    while True:
        try:
            attempt()
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


class _Collection:
    """The parts of a collector, as `collectors.collector` puts them together."""

    def __init__(self, kind: str, name: str, config: dict[str, Any], start: str = "now") -> None:
        from django.conf import settings

        from eventhub.brokers.contract import Observation, StartFrom
        from eventhub.brokers.registry import adapter
        from eventhub.ingestion.pipeline import Pipeline, Settings
        from eventhub.live.announcer import Announcer
        from eventhub.store.contract import Resume
        from eventhub.store.engine import open_writer

        found = adapter(kind)
        self.consumer = found.consumer(
            found.config.model_validate(config),
            Observation(1, name, "bench", start=StartFrom(start)),
        )
        self.writer = open_writer()
        self.announcer = Announcer(settings.REDIS_URL, 1)
        self.pipeline = Pipeline(
            Settings(1, 1 << 20, found.capabilities.mode(config.get("mode")).settles),
            self.writer,
            self.announcer,
            Resume(),
            stopping=lambda: False,
            wait=time.sleep,
            on_store_away=lambda reason: print(reason, file=sys.stderr),
        )

    def close(self) -> None:
        self.pipeline.leave()
        self.consumer.close()
        self.announcer.close()
        self.writer.close()


def _rabbitmq(task: dict[str, Any], number: int) -> tuple[float, float]:
    """(collected, received by the raw client) a second, each from a queue that is full."""
    import pika

    exchange, plain = f"bench{number}", f"plain{number}"
    config = {
        "host": "127.0.0.1", "port": task["port"], "user": "guest", "password": "guest",
        "exchanges": [exchange], "management_url": task["management"],
    }  # fmt: skip
    connection = pika.BlockingConnection(pika.URLParameters(task["url"]))
    channel = connection.channel()
    channel.exchange_declare(exchange, "fanout")
    channel.queue_declare(plain, durable=True)
    channel.queue_bind(plain, exchange)
    collection = _Collection("rabbitmq", f"run{number}", config)
    collection.consumer.open()
    collection.consumer.close()
    properties = pika.BasicProperties(
        content_type="application/json", type="OrderPlaced", correlation_id="c" * 32,
        message_id="m" * 36, delivery_mode=2, headers={"tenant": "acme"},
    )  # fmt: skip
    for _ in range(task["events"]):
        channel.basic_publish(exchange, "orders.placed", PAYLOAD, properties)
    while channel.queue_declare(plain, passive=True).method.message_count < task["events"]:
        connection.sleep(0.05)
    received = task["receive"] or raw.receive_rabbitmq(task["url"], plain, task["events"])
    began = time.perf_counter()
    collection.consumer.open()
    count = 0
    while count < task["events"]:
        count += collection.pipeline.step(collection.consumer)
    collected = count / (time.perf_counter() - began)
    collection.close()
    channel.exchange_delete(exchange)
    channel.queue_delete(plain)
    connection.close()
    return collected, received


def _kafka(task: dict[str, Any], number: int) -> tuple[float, float]:
    """(collected, received by the raw client) a second, each from a topic that is full."""
    topic, count = f"bench{number}-{os.getpid()}", task["events"]
    address = f"127.0.0.1:{task['port']}"
    raw.fill_kafka(address, topic, PAYLOAD, count)
    received = task["receive"] or raw.receive_kafka(address, topic, count)
    collection = _Collection(
        "kafka",
        f"run{number}",
        {"bootstrap_servers": [address], "topics": [topic]},
        start="earliest",
    )
    began = time.perf_counter()
    collection.consumer.open()
    collected = 0
    while collected < count:
        collected += collection.pipeline.step(collection.consumer)
    took = time.perf_counter() - began
    collection.close()
    return collected / took, received


def _redis(task: dict[str, Any], number: int) -> tuple[float, float]:
    """(collected, received by the raw client): the highest rates that arrive whole and in time."""
    channel = f"bench.{number}"
    with multiprocessing.get_context("spawn").Pool(1) as publisher:

        def trial(collect: Callable[[], raw.Arrived], rate: int) -> bool:
            words = (task["port"], channel, PAYLOAD, rate, task["seconds"])
            published = publisher.apply_async(raw.publish_redis, words)
            arrived = collect()
            return _keeps_up(arrived, published.get(), rate, task["seconds"])

        def receive() -> raw.Arrived:
            return raw.receive_redis(task["port"], channel, task["quiet"])

        def collect() -> raw.Arrived:
            return _collect_redis(task, channel)

        narrowed = task["narrowed"]
        received = task["receive"] or _highest(lambda rate: trial(receive, rate), narrowed)
        # Not counted: makes the day's partition and fills caches.
        trial(collect, 2_000)
        return _highest(lambda rate: trial(collect, rate), narrowed), received


def _highest(holds: Callable[[int], bool], narrowed: int) -> float:
    """The highest rate that holds: doubled from 16,000 a second, then halved in between."""
    rate = 16_000
    while rate < 512_000 and holds(rate):
        rate *= 2
    low, high = (0 if rate == 16_000 else rate // 2), rate
    for _ in range(narrowed):
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _collect_redis(task: dict[str, Any], channel: str) -> raw.Arrived:
    collection = _Collection(
        "redis_pubsub",
        "bench",
        {"host": "127.0.0.1", "port": task["port"], "patterns": [channel]},
    )
    collection.consumer.open()
    arrivals = raw.Arrivals(task["quiet"])
    try:
        while arrivals.go_on():
            arrivals.add(collection.pipeline.step(collection.consumer))
    except BrokerError as lost:
        print(lost, file=sys.stderr)
    finally:
        collection.close()
    return arrivals.all()


def _keeps_up(arrived: raw.Arrived, published: int, rate: int, seconds: float) -> bool:
    """Everything arrived, in about the time in which it was published, so that no buffer did
    the work; and the publisher itself reached the rate."""
    return (
        arrived.events == published
        and arrived.seconds <= 1.05 * seconds + 0.1
        and published >= 0.9 * rate * seconds
    )


if __name__ == "__main__":
    main()
