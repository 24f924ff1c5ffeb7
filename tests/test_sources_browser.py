"""A person adds a Redis source in a browser: test, pick, start, and see events arrive."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation
from tests.servers.process import Process, free_port, port_answers

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

HALF_A_MINUTE = 30_000
"""Milliseconds for what takes a second on an idle machine."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, redis_server: Any) -> Iterator[tuple[str, Any]]:
    """(address, installation) of a running EventHub: pages and collectors."""
    installation = Installation(tmp_path_factory.mktemp("hub"), redis_server.url)
    port = free_port()
    web = Process(
        [sys.executable, "-m", "daphne", "-p", str(port), "eventhub.asgi:application"],
        log=installation.folder / "web.log",
        ready=lambda: port_answers(port),
        env=installation.environment,
        cwd=Path(__file__).parent.parent,
    )
    web.start()
    collect = installation.collect()
    try:
        yield f"http://127.0.0.1:{port}", installation
    finally:
        collect.stop()
        web.stop()


@pytest.fixture
def page(browser: Browser, hub: tuple[str, Any]) -> Iterator[Page]:
    """Signed in by a link, with every complaint of the browser turned into a failure."""
    address, installation = hub
    context = browser.new_context(base_url=address)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if "Content Security" in said.text else None,
    )
    page.goto(installation.manage("signin", "--base-url", address).strip())
    page.get_by_role("button", name="Sign in as admin").click()
    page.wait_for_url(f"{address}/")
    yield page
    context.close()
    assert complaints == []


def fill(page: Page, **values: str) -> None:
    for label, value in values.items():
        page.get_by_label(re.compile(rf"^{label}\b")).fill(value)


def open_form(page: Page, kind: str = "Redis Pub/Sub") -> None:
    page.goto("/sources/")
    page.get_by_role("link", name=re.compile("^Add (a )?source")).first.click()
    page.get_by_role("link", name=kind).click()
    page.get_by_role("button", name="Test connection").wait_for()


def run_check(page: Page) -> float:
    """Run the connection test; seconds until it was done."""
    started = time.monotonic()
    page.locator("#check").click()
    expect(page.locator("#check")).to_contain_text("Test again", timeout=HALF_A_MINUTE)
    return time.monotonic() - started


def test_a_source_added_on_the_page_is_observed(page: Page, redis_server: Any) -> None:
    consumer = redis_server.client().pubsub()
    consumer.subscribe("orders.eu", "orders.us", "stock")
    consumer.get_message(timeout=5)
    open_form(page)
    fill(page, Name="shop", Host="127.0.0.1", Port=str(redis_server.port))

    run_check(page)
    expect(page.locator("#steps .st.ok")).to_have_count(4)
    page.get_by_role("checkbox", name="orders.*").check()
    expect(page.get_by_label("Channel patterns")).to_have_value("orders.*")
    page.get_by_role("button", name="Start", exact=True).click()

    status = page.locator("#source-status .st").first
    expect(status).to_have_text("up", timeout=HALF_A_MINUTE)
    page.get_by_label("Target").fill("orders.eu")
    page.get_by_role("button", name="Publish 1 message").click()
    expect(page.locator("#outcome")).to_contain_text("Confirmed.", timeout=HALF_A_MINUTE)
    token = page.locator("[name=token]").input_value()
    page.get_by_role("link", name="Find it in History").click()
    expect(page.locator("main")).to_contain_text("orders.eu")
    assert token in page.url

    page.goto("/sources/of/shop/")
    page.get_by_role("button", name="Stop shop").click()
    expect(page.locator("#source-status .st").first).to_have_text("stopped")
    page.get_by_text("Remove this source").click()
    page.get_by_label("Type shop").fill("shop")
    page.get_by_role("button", name="Remove shop").click()
    expect(page.locator("#list")).to_contain_text(
        "Connect your first broker", timeout=HALF_A_MINUTE
    )
    consumer.close()


WRONG: dict[str, list[tuple[dict[str, str], bool, str, str]]] = {
    "Redis Pub/Sub": [
        ({"Host": "no-such-broker.invalid"}, False, "resolve", "cannot be resolved"),
        ({"Host": "169.254.169.254"}, False, "resolve", "metadata"),
        ({"Port": "1"}, False, "connect", "Nothing listens"),
        ({}, True, "tls", "without TLS"),
        ({"User": "nobody", "Password": "wrong"}, False, "authenticate", "password"),
        ({"Port": "abc"}, False, "Form", "“abc” is not a whole number"),
    ],
    "RabbitMQ": [
        ({"Host": "no-such-broker.invalid"}, False, "resolve", "cannot be resolved"),
        ({"Host": "169.254.169.254"}, False, "resolve", "metadata"),
        ({"Port": "1"}, False, "connect", "Nothing listens"),
        ({}, True, "TLS", "does not speak TLS"),
        ({"Password": "wrong"}, False, "authenticate", "refused the user 'guest'"),
        ({"Virtual host": "nowhere"}, False, "virtual host", "no virtual host 'nowhere'"),
    ],
}


def say_what_is_wrong(page: Page, kind: str, port: int, password: str = "") -> None:
    open_form(page, kind)
    for values, tls, step, words in WRONG[kind]:
        right = {"Host": "127.0.0.1", "Port": str(port), "User": "", "Password": password}
        if kind == "RabbitMQ":
            right |= {"User": "guest", "Virtual host": "/"}
        fill(page, **{**right, **values})
        page.get_by_label("TLS", exact=True).set_checked(tls)
        seconds = run_check(page)
        last = page.locator("#steps .step").last
        expect(last.locator(".st.bad")).to_have_text(step)
        expect(last).to_contain_text(words)
        assert seconds < 6, (values, seconds)


def test_what_is_wrong_with_a_redis_has_its_own_words_within_five_seconds(
    page: Page, redis_server: Any
) -> None:
    say_what_is_wrong(page, "Redis Pub/Sub", redis_server.port)


def test_what_is_wrong_with_a_rabbitmq_has_its_own_words_within_five_seconds(
    page: Page, rabbitmq: Any
) -> None:
    say_what_is_wrong(page, "RabbitMQ", rabbitmq.port, "guest")


def test_exchanges_found_on_a_rabbitmq_can_be_picked(page: Page, rabbitmq: Any) -> None:
    # With the broker's own five: enough for a filter.
    for name in ("shop.orders", "shop.payments", "shop.stock"):
        rabbitmq.api("PUT", f"/exchanges/%2F/{name}", {"type": "topic", "durable": True})
    open_form(page, "RabbitMQ")
    fill(page, Host="127.0.0.1", Port=str(rabbitmq.port), Password="guest")
    page.get_by_text("More settings").click()
    fill(page, **{"Management URL": rabbitmq.management_url})
    run_check(page)
    expect(page.locator("#steps .st.bad")).to_have_count(0)
    page.get_by_role("searchbox", name="found for Exchanges").fill("shop")
    page.get_by_role("checkbox", name="shop.orders").check()
    expect(page.locator("[name=exchanges]")).to_have_value("shop.orders")


def test_fields_that_mean_nothing_with_the_choices_made_are_not_shown(page: Page) -> None:
    open_form(page, "RabbitMQ")
    page.get_by_text("More settings").click()
    ca_file = page.get_by_label("CA file")
    ca_file.wait_for(state="hidden")
    page.get_by_label("TLS", exact=True).check()
    ca_file.wait_for(state="visible")
    page.get_by_label("TLS", exact=True).uncheck()
    ca_file.wait_for(state="hidden")


def test_rows_stay_where_they_are_under_the_pointer(page: Page, hub: tuple[str, Any]) -> None:
    _, installation = hub
    for name in ("a-quiet", "b-quiet"):
        installation.ask(
            "from eventhub.sources.models import Source\n"
            f"Source.objects.create(name={name!r}, kind='redis_pubsub', config={{'host': 'x'}})\n"
            "answer = 0"
        )
    page.goto("/sources/")
    names = page.locator("#list [data-name]")
    expect(names).to_have_text(["a-quiet", "b-quiet"])
    names.last.hover()
    # Now the second is the more urgent one.
    installation.ask(
        "from eventhub.sources.models import CollectorStatus, Source\n"
        "source = Source.objects.get(name='b-quiet')\n"
        "Source.objects.filter(pk=source.pk).update(desired='running')\n"
        "answer = 0"
    )
    with page.expect_response(lambda response: "/sources/rows/" in response.url):
        pass
    expect(page.locator("#statement")).not_to_contain_text("2 stopped", timeout=HALF_A_MINUTE)
    expect(names).to_have_text(["a-quiet", "b-quiet"])
    page.mouse.move(0, 0)
    expect(names).to_have_text(["b-quiet", "a-quiet"], timeout=HALF_A_MINUTE)
    installation.ask(
        "from eventhub.sources.models import Source\nSource.objects.all().delete()\nanswer = 0"
    )
