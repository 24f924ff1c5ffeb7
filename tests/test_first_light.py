"""A message that somebody publishes from a shell is on the open Live page within a second."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.brokers.kafka import server as kafka
from tests.conftest import require
from tests.installation import Installation
from tests.servers.process import Process, free_port, port_answers, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECOND = 1.0
ODD_BYTES = b'{"note": "caf\xc3\xa9 \xff\x01"}'


@pytest.fixture
def installation(tmp_path: Path, redis_server: Any) -> Iterator[Installation]:
    made = Installation(tmp_path, redis_server.url)
    supervisor = made.collect()
    yield made
    supervisor.stop()


@pytest.fixture
def web(installation: Installation) -> Iterator[str]:
    port = free_port()
    process = Process(
        [*installation.python, "-m", "daphne", "-p", str(port), "eventhub.asgi:application"],
        log=installation.folder / "web.log",
        ready=lambda: port_answers(port),
        env=installation.environment,
        cwd=installation.root,
    )
    process.start()
    yield f"http://127.0.0.1:{port}"
    process.stop()


@pytest.fixture
def live(installation: Installation, web: str, browser: "Browser") -> "Iterator[Page]":
    """The Live page of somebody who has come in by a link."""
    link = installation.manage("signin", "--base-url", web).split()[-1]
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{web}/live/")
    page.get_by_text("connected").first.wait_for()
    yield page
    context.close()


def seconds_until_shown(page: "Page", text: str, publish: Callable[[], object]) -> float:
    publish()
    published = time.monotonic()
    page.get_by_text(text).first.wait_for(timeout=20_000)
    return time.monotonic() - published


def up(installation: Installation, source: int) -> None:
    wait_until(lambda: installation.state(source) == "up", seconds=30, what="the source up")


def stored(installation: Installation, payload: bytes) -> bool:
    rows = installation.rows("SELECT payload FROM events")
    return [bytes(found) for (found,) in rows].count(payload) == 1


def command(name: str) -> str:
    path = shutil.which(name)
    missing = None if path else f"{name} was not found (bin/install-brokers installs it)"
    require(name, missing)
    assert path is not None
    return path


def test_redis_cli_publish_is_seen_within_a_second(
    installation: Installation, live: "Page", redis_server: Any
) -> None:
    source = installation.add_source(
        "chat", "redis_pubsub", host="127.0.0.1", port=redis_server.port, patterns=["chat.*"]
    )
    up(installation, source)
    publish = [command("redis-cli"), "-p", str(redis_server.port), "-x", "publish"]

    def send(channel: str, payload: bytes) -> Callable[[], object]:
        return lambda: subprocess.run(
            [*publish, channel], input=payload, check=True, capture_output=True
        )

    assert seconds_until_shown(live, "chat.kitchen", send("chat.kitchen", b"ready")) < SECOND
    send("chat.odd", ODD_BYTES)()
    wait_until(lambda: stored(installation, ODD_BYTES), seconds=10, what="the same bytes")


@pytest.mark.xdist_group("rabbitmq")
def test_amqp_publish_is_seen_within_a_second(
    installation: Installation, live: "Page", rabbitmq: Any
) -> None:
    rabbitmq.api("PUT", "/exchanges/%2F/first-light", {"type": "topic"})
    source = installation.add_source(
        "shop",
        "rabbitmq",
        host="127.0.0.1",
        port=rabbitmq.port,
        user="guest",
        password="guest",
        management_url=rabbitmq.management_url,
        exchanges=["first-light"],
    )
    up(installation, source)
    publish = [
        command("amqp-publish"),
        "--url",
        rabbitmq.url.rstrip("/"),
        "-e",
        "first-light",
        "-p",
    ]

    def send(key: str, payload: bytes) -> Callable[[], object]:
        return lambda: subprocess.run(
            [*publish, "-r", key], input=payload, check=True, capture_output=True
        )

    assert seconds_until_shown(live, "orders.placed", send("orders.placed", b"4711")) < SECOND
    send("orders.odd", ODD_BYTES)()
    wait_until(lambda: stored(installation, ODD_BYTES), seconds=10, what="the same bytes")
    rabbitmq.api("DELETE", "/exchanges/%2F/first-light")


def test_kcat_is_seen_within_a_second(installation: Installation, live: "Page") -> None:
    require("Apache Kafka", kafka.missing())
    with kafka.running() as server:
        produce = [command("kcat"), "-P", "-b", server.address, "-K", ":", "-H", "tenant=acme"]

        def send(topic: str, payload: bytes) -> Callable[[], object]:
            return lambda: subprocess.run(
                [*produce, "-t", topic], input=b"order-1:" + payload, check=True
            )

        # The first record makes the topic, which Kafka does at a producer's wish.
        send("orders.placed", b"first")()
        source = installation.add_source(
            "orders", "kafka", bootstrap_servers=[server.address], topics=["orders.*"]
        )
        up(installation, source)
        assert seconds_until_shown(live, "4711", send("orders.placed", b"4711")) < SECOND
        send("orders.placed", ODD_BYTES)()
        wait_until(lambda: stored(installation, ODD_BYTES), seconds=10, what="the same bytes")
        [(key, headers)] = installation.rows(
            "SELECT key, headers FROM events WHERE payload = CAST('4711' AS BLOB)"
        )
        assert (key, bytes(headers)) == ("order-1", b'[["tenant","acme"]]')
