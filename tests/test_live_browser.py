"""The live page in a browser, fed through Redis and a real Daphne."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from eventhub.brokers.contract import Gap
from tests.live_feed import LiveSource
from tests.servers.process import Process, free_port, port_answers, wait_until
from tests.test_live_socket import sign_in

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

ROOT = Path(__file__).resolve().parent.parent
AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
ROWS = "#body tr[data-id]:visible"
Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def daphne(
    redis_server: Any, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """The web process, on the databases of the tests."""
    port = free_port()
    process = Process(
        [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port),
         "eventhub.asgi:application"],
        log=tmp_path_factory.mktemp("daphne") / "log",
        ready=lambda: port_answers(port),
        env={**os.environ, "EVENTHUB_DATA_DIR": str(settings.DATA_DIR),
             "REDIS_URL": redis_server.url},
        cwd=ROOT,
    )  # fmt: skip
    process.start()
    process.url = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    yield process
    process.stop()


@pytest.fixture
def shop(redis_server: Any, transactional_db: None) -> LiveSource:
    return LiveSource("shop", redis_server.url)


@pytest.fixture
def open_page(browser: Browser, daphne: Any, shop: LiveSource) -> Iterator[Opener]:
    """Opens the live page as a viewer and waits until it is connected."""
    session = sign_in()
    contexts = []
    broken: list[str] = []

    def open_page(address: str = "/live/", width: int = 1280, **more: Any) -> Page:
        context = browser.new_context(
            base_url=daphne.url, viewport={"width": width, "height": 800}, **more
        )
        contexts.append(context)
        key = session.session_key
        assert key is not None
        context.add_cookies([{"name": "sessionid", "value": key, "url": daphne.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.on(
            "console",
            lambda told: broken.append(told.text) if "Content Security" in told.text else None,
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert broken == []


def connected(page: Page) -> None:
    expect(page.locator("#connection-words")).to_have_text("connected", timeout=15_000)


def counted(page: Page, events: int) -> None:
    """Wait until the page has counted exactly so many."""
    count = "events => Number(document.querySelector('#live').dataset.matched) === events"
    page.wait_for_function(count, arg=events)


def ids(page: Page) -> list[str]:
    shown: list[str] = page.locator(ROWS).evaluate_all(
        "rows => rows.map(row => row.dataset.id).filter(id => id.length === 36)"
    )
    return shown


def test_events_appear_newest_first_with_what_they_are(open_page: Opener, shop: LiveSource) -> None:
    page = open_page()
    connected(page)
    events = shop.events(2) + shop.events(1, "PaymentFailed", b'{"reason": "card declined"}')
    shop.announce(events)
    expect(page.locator(ROWS)).to_have_count(3)
    assert ids(page) == [event.uuid for event in reversed(events)]
    first = page.locator(ROWS).first
    for words in ("PaymentFailed", "shop", "orders.placed", "47112", "card declined"):
        expect(first).to_contain_text(words)
    expect(page.locator("#statement")).to_contain_text("Showing every event")


def test_the_filter_is_in_the_address_and_narrows_the_list(
    open_page: Opener, shop: LiveSource
) -> None:
    page = open_page("/live/?q=type:PaymentFailed")
    connected(page)
    shop.announce(shop.events(3) + shop.events(1, "PaymentFailed"))
    expect(page.locator(ROWS)).to_have_count(1)
    page.keyboard.press("/")
    page.keyboard.type("type:OrderPlaced")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=type%3AOrderPlaced"))
    page.keyboard.press("Escape")
    expect(page.locator(ROWS)).to_have_count(0)
    shop.announce(shop.events(2) + shop.events(2, "PaymentFailed"))
    expect(page.locator(ROWS)).to_have_count(2)


def test_a_broken_filter_shows_where_and_keeps_the_list(
    open_page: Opener, shop: LiveSource
) -> None:
    page = open_page()
    connected(page)
    shop.announce(shop.events(1))
    expect(page.locator(ROWS)).to_have_count(1)
    page.locator("#query").fill("type:(a OR")
    page.keyboard.press("Enter")
    expect(page.locator("#broken")).to_be_visible()
    expect(page.locator("#broken-words")).to_contain_text("still shows everything")
    assert (page.locator("#broken-at").text_content() or "").splitlines()[1] == " " * 10 + "^"
    shop.announce(shop.events(1))
    expect(page.locator(ROWS)).to_have_count(2)
    page.locator("#clear").click()
    expect(page.locator("#broken")).to_be_hidden()


def test_pause_step_resume_and_jump(open_page: Opener, shop: LiveSource) -> None:
    page = open_page()
    connected(page)
    shop.announce(shop.events(1))
    expect(page.locator(ROWS)).to_have_count(1)
    page.keyboard.press("p")
    expect(page.locator("#resume")).to_be_visible()
    events = shop.events(5)
    shop.announce(events)
    expect(page.locator("#statement")).to_contain_text("5 matching events have passed")
    assert len(ids(page)) == 1
    page.keyboard.press(".")
    expect(page.locator(ROWS)).to_have_count(2)
    assert ids(page)[0] == events[0].uuid
    page.keyboard.press("p")
    expect(page.locator(ROWS)).to_have_count(6)
    page.keyboard.press("p")
    shop.announce(shop.events(7))
    expect(page.locator("#statement")).to_contain_text("7 matching events have passed")
    page.keyboard.press("n")
    expect(page.locator("#pause")).to_be_visible()
    expect(page.locator("#body tr.hole:visible")).to_contain_text("7 events passed while")
    assert len(ids(page)) == 6


def test_nothing_moves_under_the_pointer(open_page: Opener, shop: LiveSource) -> None:
    page = open_page()
    connected(page)
    shop.announce(shop.events(10))
    expect(page.locator(ROWS)).to_have_count(10)
    row = page.locator(ROWS).nth(4)
    row.hover()
    page.mouse.move(400, 420)
    expect(page.locator("#statement")).to_contain_text("Held while you point")
    shown = ids(page)
    shop.announce(shop.events(3))
    expect(page.locator("#statement")).to_contain_text("3 new rows wait")
    assert ids(page) == shown
    page.mouse.move(400, 10)
    expect(page.locator(ROWS)).to_have_count(13)


def test_new_rows_push_above_what_a_reader_scrolled_to(open_page: Opener, shop: LiveSource) -> None:
    page = open_page()
    connected(page)
    for number in range(1, 16):
        shop.announce(shop.events(10))
        counted(page, 10 * number)
    page.locator("#rows").evaluate("box => (box.scrollTop = 1000)")
    first_drawn = "document.querySelector('#body tr[data-id]:not([hidden])').ariaRowIndex"
    page.wait_for_function(f"() => {first_drawn} > 2")
    at_pointer = "document.elementFromPoint(500, 420).closest('tr').dataset.id"
    seen = page.evaluate(at_pointer)
    before = page.locator("#rows table").get_attribute("aria-rowcount")
    shop.announce(shop.events(10))
    more = "before => document.querySelector('#rows table').ariaRowCount !== before"
    page.wait_for_function(more, arg=before)
    assert page.evaluate(at_pointer) == seen


def test_selecting_opens_the_event_beside_the_list_and_escape_goes_on(
    open_page: Opener, shop: LiveSource
) -> None:
    page = open_page()
    connected(page)
    events = shop.store(shop.events(3, payload=b'{"reason": "card declined"}'))
    shop.announce(events)
    expect(page.locator(ROWS)).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("j")
    pane = page.locator("#pane")
    expect(pane).to_contain_text("card declined")
    expect(pane).to_contain_text(events[1].uuid)
    expect(page.locator("tr[aria-selected=true]")).to_have_attribute("data-id", events[1].uuid)
    expect(page.locator("#resume")).to_be_visible()
    page.keyboard.press("Escape")
    expect(pane).to_be_hidden()
    expect(page.locator("#pause")).to_be_visible()
    page.keyboard.press("j")
    expect(pane).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/events/{events[2].uuid}/"))


def test_a_gap_stands_where_it_happened(open_page: Opener, shop: LiveSource) -> None:
    page = open_page()
    connected(page)
    early = shop.events(1)
    time.sleep(0.05)
    late = shop.events(1)
    shop.announce(early + late, [Gap("the broker closed", early[0].time + 1, late[0].time - 1)])
    expect(page.locator(ROWS)).to_have_count(3)
    row = page.locator(ROWS).nth(1)
    expect(row).to_contain_text("the broker closed")
    expect(row.locator("a:visible")).to_have_attribute(
        "href", re.compile("/history/.*source%3Ashop")
    )


def test_a_flood_keeps_the_page_small_and_the_counts_exact(
    open_page: Opener, shop: LiveSource
) -> None:
    page = open_page()
    connected(page)
    elements = "document.querySelectorAll('*').length"
    shop.announce(shop.events(60))
    counted(page, 60)
    expect(page.locator("#legend")).to_contain_text("OrderPlaced")
    small = page.evaluate(elements)
    sent, until = 60, time.monotonic() + 5
    while time.monotonic() < until:
        started = time.monotonic()
        sent += 1000 * shop.announce(shop.events(1000, "TickQuoted"))
        sent += shop.announce(shop.events(1, "PaymentFailed"))
        page.wait_for_timeout(max(0, 100 - 1000 * (time.monotonic() - started)))
    expect(page.locator("#statement")).to_contain_text("Sampled")
    expect(page.locator("#shown")).to_contain_text("showing 1 in")
    page.wait_for_function(
        "sent => Number(document.querySelector('#live').dataset.matched) === sent", arg=sent
    )
    assert page.evaluate(elements) < small + 60
    assert sent > 20_000


def test_a_page_goes_on_after_the_server_was_restarted_without_repeating(
    open_page: Opener, shop: LiveSource, daphne: Process
) -> None:
    page = open_page()
    connected(page)
    before = shop.store(shop.events(3))
    shop.announce(before)
    expect(page.locator(ROWS)).to_have_count(3)
    daphne.kill()
    expect(page.locator("#connection-words")).to_have_text("reconnecting", timeout=10_000)
    expect(page.locator("#statement")).to_contain_text("Reconnecting")
    missed = shop.store(shop.events(4))
    shop.announce(missed)
    daphne.start()
    connected(page)
    expect(page.locator(ROWS)).to_have_count(7)
    after = shop.store(shop.events(1))
    wait_until(lambda: shop.announce(after), seconds=15, what="subscribed")
    expect(page.locator(ROWS)).to_have_count(8)
    assert ids(page) == [event.uuid for event in reversed(before + missed + after)]


def test_a_page_goes_on_after_redis_was_restarted(
    open_page: Opener, shop: LiveSource, redis_server: Any
) -> None:
    page = open_page()
    connected(page)
    before = shop.store(shop.events(2))
    shop.announce(before)
    expect(page.locator(ROWS)).to_have_count(2)
    redis_server.kill()
    expect(page.locator("#statement")).to_contain_text("No live events now", timeout=10_000)
    missed = shop.store(shop.events(2))
    redis_server.start()
    expect(page.locator(ROWS)).to_have_count(4, timeout=15_000)
    connected(page)
    assert ids(page) == [event.uuid for event in reversed(before + missed)]


def test_signing_out_elsewhere_is_told_within_a_few_seconds(
    open_page: Opener, shop: LiveSource
) -> None:
    page = open_page()
    connected(page)
    User.objects.get().delete()
    expect(page.locator("#statement")).to_contain_text("signed out", timeout=6000)
    expect(page.locator("#statement-act")).to_have_text("Sign in")


def test_a_payload_of_a_megabyte_opens_without_blocking(
    open_page: Opener, shop: LiveSource
) -> None:
    page = open_page()
    connected(page)
    payload = (
        b'{"items": [' + b",".join(b'{"sku": "A-17", "n": %d}' % n for n in range(45_000)) + b"]}"
    )
    assert len(payload) > 1_000_000
    (event,) = shop.store(shop.events(1, payload=payload))
    shop.announce([event])
    page.evaluate(
        """() => {
          window.longest = 0;
          let last = performance.now();
          const tick = (now) => {
            window.longest = Math.max(window.longest, now - last);
            last = now;
            requestAnimationFrame(tick);
          };
          requestAnimationFrame(tick);
        }"""
    )
    expect(page.locator(ROWS)).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator("#pane")).to_contain_text("A-17", timeout=10_000)
    assert page.evaluate("window.longest") < 1000


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_serious(
    open_page: Opener, shop: LiveSource, theme: str, width: int
) -> None:
    page = open_page(width=width, color_scheme=theme, bypass_csp=True)
    connected_in_words = page.locator("#statement-strong")
    expect(connected_in_words).to_contain_text("Showing every event", timeout=15_000)
    shop.announce(shop.events(40) + shop.events(2, None), [Gap("lost", 1, 2)])
    expect(page.locator("#legend")).to_contain_text("OrderPlaced")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(result => result.violations)")
    serious = [
        (each["id"], node["target"], node["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
    assert serious == []
