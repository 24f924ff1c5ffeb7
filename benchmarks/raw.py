"""Baselines: what the client libraries do with nothing around them."""

import socket
import sqlite3
import time
from pathlib import Path
from typing import Any, NamedTuple

import pika
import psycopg
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

__all__ = [
    "Arrivals", "Arrived", "copy_postgres", "copy_sqlite", "fill_kafka", "publish_redis",
    "receive_kafka", "receive_rabbitmq", "receive_redis",
]  # fmt: skip

BATCH = 1_000


class Arrived(NamedTuple):
    events: int
    seconds: float
    """From the first to the last."""


class Arrivals:
    """Counts what arrives until it has been quiet, or until nothing ever came."""

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._count = 0
        self._first = self._last = 0.0
        self._patience = time.monotonic() + 10

    def add(self, count: int) -> None:
        if count:
            self._last = time.monotonic()
            self._first = self._first or self._last
            self._count += count

    def go_on(self) -> bool:
        if self._count:
            return time.monotonic() - self._last < self._quiet
        return time.monotonic() < self._patience

    def all(self) -> Arrived:
        return Arrived(self._count, self._last - self._first)


def receive_rabbitmq(url: str, queue: str, count: int) -> float:
    """Messages a second that pika hands over, acknowledging a thousand at a time."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=2 * BATCH)
    received = 0

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal received
        received += 1
        if received % BATCH == 0 or received == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if received == count:
            channel.stop_consuming()

    began = time.perf_counter()
    channel.basic_consume(queue, on_message)
    channel.start_consuming()
    took = time.perf_counter() - began
    connection.close()
    return count / took


def fill_kafka(address: str, topic: str, payload: bytes, count: int) -> None:
    """Make a topic of four partitions, and put so many records into it."""
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": address, "linger.ms": 20})
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_type", b"OrderPlaced"),
        ("tenant", b"acme"),
        ("correlation-id", b"c" * 32),
    ]
    for number in range(count):
        while True:
            try:
                producer.produce(topic, payload, b"%d" % number, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def receive_kafka(address: str, topic: str, count: int) -> float:
    """Records a second that confluent-kafka hands over, a thousand at a time."""
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "raw", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(4)])
    received = 0
    began = time.perf_counter()
    while received < count:
        received += len(consumer.consume(BATCH, 0.1))
    took = time.perf_counter() - began
    consumer.close()
    return count / took


def receive_redis(port: int, channel: str, quiet: float) -> Arrived:
    """What redis-py hands over until nothing came for `quiet` seconds."""
    client = redis.Redis(port=port)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe(channel)
    pubsub.get_message(timeout=5)
    arrivals = Arrivals(quiet)
    while arrivals.go_on():
        try:
            arrivals.add(pubsub.get_message(timeout=0.1) is not None)
        except redis.RedisError:
            break
    client.close()
    return arrivals.all()


def copy_postgres(url: str, count: int) -> float:
    """Rows a second by COPY, a commit each thousand, into a twin of the fullest partition."""
    with psycopg.connect(url, autocommit=True) as connection:
        (leaf,) = connection.execute(
            "SELECT relid::regclass::text FROM pg_partition_tree('events') WHERE isleaf"
            " ORDER BY pg_relation_size(relid) DESC LIMIT 1"
        ).fetchone()  # type: ignore[misc]
        connection.execute("DROP TABLE IF EXISTS raw_twin")
        connection.execute(f"CREATE TABLE raw_twin (LIKE {leaf} INCLUDING ALL)")
        cursor = connection.execute(f"SELECT * FROM {leaf} LIMIT {count}")
        types = [column.type_code for column in cursor.description or []]
        rows = cursor.fetchall()
        began = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            with (
                connection.transaction(),
                connection.cursor().copy("COPY raw_twin FROM STDIN (FORMAT BINARY)") as copy,
            ):
                copy.set_types(types)
                for row in rows[first : first + BATCH]:
                    copy.write_row(row)
        took = time.perf_counter() - began
        connection.execute("DROP TABLE raw_twin")
    return len(rows) / took


def copy_sqlite(path: Path, count: int) -> float:
    """Rows a second by executemany, a commit each thousand, into a twin of the events' table."""
    twin = path.with_name("twin.sqlite3")
    twin.unlink(missing_ok=True)
    with sqlite3.connect(path) as source:
        statements = [
            sql
            for (sql,) in source.execute(
                "SELECT sql FROM sqlite_master WHERE tbl_name = 'events' AND sql IS NOT NULL"
                " ORDER BY type DESC"
            )
        ]
        rows = source.execute(f"SELECT * FROM events LIMIT {count}").fetchall()
    connection = sqlite3.connect(twin, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
    for statement in statements:
        connection.execute(statement)
    insert = f"INSERT INTO events VALUES ({', '.join('?' * len(rows[0]))})"
    began = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows[first : first + BATCH])
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return len(rows) / took


def publish_redis(port: int, channel: str, payload: bytes, rate: int, seconds: float) -> int:
    """Publish at `rate` a second from one socket, in slices of 10 ms. Returns how many."""
    name = channel.encode()
    command = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(name),
        name,
        len(payload),
        payload,
    )
    sent = answered = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            due = int(rate * elapsed) - sent
            if due > 0:
                connection.sendall(command * due)
                sent += due
                # Reading the answers keeps the server from buffering them.
                while answered < sent:
                    answered += connection.recv(1 << 16).count(b"\n")
            time.sleep(0.01)
    return sent
