#!/usr/bin/env python3
"""A broker full of 1 KB events, collected end to end: receive, commit, settle, announce.

Beside it, in the same run: what the raw client receives, and what COPY (or executemany) writes
of the same rows into a table with the same columns and indexes. The ratio is to the smaller.

Redis Pub/Sub keeps nothing, so nothing can wait there. Its figure is the highest publishing rate
that is stored without a gap and as fast as it comes, and its raw client's the highest that it
hands over so. Amazon SQS is an emulator here, Azure Service Bus a stand-in: ratios, not rates.

    python benchmarks/ingest.py [--quick] [--json] [--broker KIND] [--store ENGINE]
"""

import argparse
import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import redis_pubsub, rows  # noqa: E402
from benchmarks.case import Broker  # noqa: E402
from benchmarks.figures import Figure, median, print_figures  # noqa: E402
from eventhub.brokers.errors import BrokerError  # noqa: E402
from tests.brokers.redis_pubsub import server as redis  # noqa: E402
from tests.installation import Installation  # noqa: E402
from tests.servers import postgres  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.collection import Collection

REDIS = "redis_pubsub"
KINDS = ("rabbitmq", "kafka", "sqs", "activemq", "azure_service_bus", REDIS)
STORES = ("postgres", "sqlite")
_BLANK = "blank"
PAYLOAD = json.dumps(
    {"order": 47112, "amount": 318.4, "currency": "EUR", "items": ["A-17"], "note": "x" * 700}
).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--quick", action="store_true", help="the whole run under 50 s, into PostgreSQL alone"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--broker", choices=KINDS, action="append")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(_cell(json.loads(options.cell))))
        return
    kinds, stores = options.broker or KINDS, options.store or STORES
    if options.quick and not options.store:
        stores = ("postgres",)
    with contextlib.ExitStack() as stack:
        wanted: dict[str, contextlib.AbstractContextManager[Any]] = {REDIS: redis.running()}
        wanted |= {kind: _broker(kind).running() for kind in kinds if kind != REDIS}
        if "postgres" in stores:
            wanted["postgres"] = postgres.running(fsync=True)
        servers = _started(stack, wanted)
        blanks = {store: _blank(stack, servers, store) for store in stores}
        figures: list[Figure] = []
        for kind in kinds:
            received = 0.0
            for store in stores:
                task = _task(kind, servers[kind], received, quick=options.quick)
                figure = _measure(servers, blanks[store], store, task)
                figures.append(figure)
                # A quick run measures the raw client once.
                received = figure.details["raw client"] if options.quick else 0.0
    print_figures(figures, as_json=options.json)


def _broker(kind: str) -> Broker:
    """Imported when it is asked for: all the client libraries take more than a second."""
    found: Broker = import_module(f"benchmarks.{kind}").BROKER
    return found


def _started(
    stack: contextlib.ExitStack, wanted: dict[str, contextlib.AbstractContextManager[Any]]
) -> dict[str, Any]:
    """All at once: most of it is waiting."""
    with ThreadPoolExecutor(len(wanted)) as pool:
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
    return Installation(Path(folder), servers[REDIS].url, url)


def _task(kind: str, server: Any, received: float, *, quick: bool) -> dict[str, Any]:
    events = 4_000 if quick else 60_000
    return {
        "kind": kind,
        "place": {"port": server.port} if kind == REDIS else _broker(kind).place(server),
        "events": events if kind == REDIS else round(events * _broker(kind).share),
        "seconds": 0.3 if quick else 4.0,
        "quiet": 0.25 if quick else 1.5,
        # The search for a rate is many trials already.
        "runs": 1 if quick or kind == REDIS else 3,
        "narrowed": 0 if quick else 4,
        "receive": received,
    }


def _measure(
    servers: dict[str, Any], blank: Installation, store: str, task: dict[str, Any]
) -> Figure:
    """One broker into one store, in a process of its own; medians of the runs."""
    with tempfile.TemporaryDirectory(prefix="eventhub-bench-") as folder:
        shutil.copytree(blank.folder, folder, dirs_exist_ok=True)
        environment = {**blank.environment, "EVENTHUB_DATA_DIR": folder}
        url = None
        if store == "postgres":
            url = servers["postgres"].new_database(task["kind"], template=_BLANK)
            environment["DATABASE_URL"] = url
        done = subprocess.run(
            [sys.executable, __file__, "--cell", json.dumps({**task, "database": url})],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
    result = json.loads(done.stdout.splitlines()[-1])
    smaller = "receive" if result["receive"] <= result["write"] else "write"
    return Figure(
        f"{task['kind']} into {store}",
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
    from benchmarks.collection import event_writer

    for library in ("pika", "proton", "azure"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    measure = _rates if task["kind"] == REDIS else _drained
    with event_writer():
        runs = [measure(task, number) for number in range(task["runs"])]
    file = Path(os.environ["EVENTHUB_DATA_DIR"]) / "events.sqlite3"
    written = [
        rows.copy_postgres(task["database"], task["events"])
        if task["database"]
        else rows.copy_sqlite(file, task["events"])
        for _ in runs
    ]
    return {
        "collect": median([collected for collected, _ in runs]),
        "receive": median([received for _, received in runs]),
        "write": median(written),
    }


def _drained(task: dict[str, Any], number: int) -> tuple[float, float]:
    """(collected, received by the raw client) a second, each from a broker that is full."""
    from benchmarks.collection import Collection

    name, count = f"bench{number}-{os.getpid()}", task["events"]
    case = _broker(task["kind"]).case(task["place"], name)
    collection = Collection(task["kind"], number, case.config, case.start)
    case.fill(PAYLOAD, count, collection.glance)
    received = task["receive"] or case.receive_raw(count)
    began = time.perf_counter()
    collection.consumer.open()
    collected = 0
    while collected < count:
        collected += collection.step()
    took = time.perf_counter() - began
    collection.close()
    return collected / took, received


def _rates(task: dict[str, Any], number: int) -> tuple[float, float]:
    """(collected, received by the raw client): the highest rates that arrive whole and in time."""
    from benchmarks.collection import Collection

    channel, port, quiet = f"bench.{number}", task["place"]["port"], task["quiet"]

    def collect() -> redis_pubsub.Arrived:
        config = {"host": "127.0.0.1", "port": port, "patterns": [channel]}
        return _collected(Collection(REDIS, number, config), quiet)

    def receive() -> redis_pubsub.Arrived:
        return redis_pubsub.receive_raw(port, channel, quiet)

    with redis_pubsub.Rates.of(port, task["seconds"]) as rates:
        received = task["receive"] or rates.highest(channel, PAYLOAD, receive, task["narrowed"])
        # Not counted: makes the day's partition and fills caches.
        rates.trial(channel, PAYLOAD, collect, 2_000)
        return rates.highest(channel, PAYLOAD, collect, task["narrowed"]), received


def _collected(collection: "Collection", quiet: float) -> redis_pubsub.Arrived:
    collection.consumer.open()
    arrivals = redis_pubsub.Arrivals(quiet)
    try:
        while arrivals.go_on():
            arrivals.add(collection.step())
    except BrokerError as lost:
        print(lost, file=sys.stderr)
    finally:
        collection.close()
    return arrivals.all()


if __name__ == "__main__":
    main()
