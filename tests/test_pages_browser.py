"""The pages in a browser: under the strict CSP, by keyboard, for a screen reader, at 360 px."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from tests.pages import HOSTILE, event, now, sign_in, source, store

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
SECOND = 1000
Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, live_server: Any, client: Client) -> Iterator[Opener]:
    """Opens a page as a viewer. Every complaint of the browser fails the test."""
    sign_in(client)
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, *, width: int = 1280, theme: Any = "light", **more: Any) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 800},
            color_scheme=theme,
            timezone_id="Europe/Berlin",
            bypass_csp=False,
            **more,
        )
        contexts.append(context)
        context.add_cookies(
            [
                {
                    "name": "sessionid",
                    "value": client.cookies["sessionid"].value,
                    "url": live_server.url,
                }
            ]
        )
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda told: (
                complaints.append(told.text) if told.type in ("error", "warning") else None
            ),
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def city() -> list[Event]:
    """Two sources, 150 events, a gap and a source that is down; the events, newest last."""
    shop, ticks = source("shop"), source("ticks")
    source("chat", state="not connected", reason="connection refused")
    start = now() - 300 * SECOND
    events = [
        event(shop if n % 2 else ticks, start + n * SECOND, key=str(n), correlation_id=f"c{n % 9}")
        for n in range(150)
    ]
    store(shop, [one for one in events if one.source_id == shop.pk])
    gap = Gap("the subscription was lost", start + 90_500, start + 95_500)
    store(ticks, [one for one in events if one.source_id == ticks.pk], [gap])
    return events


def width_of(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width


def serious(page: Page) -> list[str]:
    """What axe finds serious or critical. It is given to the page by the debugger, which no CSP
    hinders."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def drawn(page: Page) -> None:
    expect(page.locator("#rates .main-svg").first).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("address", ["/", "/history/", "/history/?q=type:(", "/history/?q=card"])
def test_axe_finds_nothing_serious(
    open_page: Opener, city: list[Event], address: str, theme: str
) -> None:
    page = open_page(address, theme=theme)
    if address == "/":
        drawn(page)
    assert serious(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_an_event(
    open_page: Opener, city: list[Event], theme: str
) -> None:
    page = open_page(f"/history/?event={city[-1].uuid}", theme=theme)
    assert serious(page) == []
    page.goto(f"/events/{city[-1].uuid}/")
    assert serious(page) == []
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert serious(page) == []


@pytest.mark.parametrize("width", [360, 390])
def test_nothing_scrolls_sideways_on_a_phone(
    open_page: Opener, city: list[Event], width: int
) -> None:
    page = open_page("/", width=width)
    drawn(page)
    assert width_of(page) <= width
    for address in ("/history/", "/history/?q=type:(", f"/events/{city[-1].uuid}/"):
        page.goto(address)
        assert width_of(page) <= width, address


def test_hostile_events_neither_run_nor_break_the_page(open_page: Opener) -> None:
    shop = source()
    events = [event(shop, **fields) for fields in HOSTILE]
    store(shop, events)
    page = open_page("/history/", width=360)
    assert width_of(page) <= 360
    for one in events:
        page.goto(f"/events/{one.uuid}/")
        assert width_of(page) <= 360, one.type
        assert page.title() != "1"
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto("/history/")
    assert width_of(page) <= 1280


def test_the_chart_is_drawn_by_local_time_with_its_gap(
    open_page: Opener, city: list[Event]
) -> None:
    page = open_page("/?window=1h")
    drawn(page)
    expect(page.locator("#rates")).to_have_attribute(
        "aria-label", re.compile("^Events per second: ")
    )
    assert page.locator("#rates .fills path, #rates .js-fill").count() >= 1
    page.get_by_role("button", name="Show as table").click()
    expect(page.locator("#rates-table tr.gap")).to_contain_text("the subscription was lost")
    page.locator(".foot [data-theme-choice=dark]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    drawn(page)


def test_a_chosen_theme_is_there_before_the_first_paint(
    open_page: Opener, city: list[Event]
) -> None:
    page = open_page("/history/")
    page.locator(".foot [data-theme-choice=dark]").click()
    page.reload(wait_until="commit")
    page.wait_for_selector("body", state="attached")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.locator(".foot [data-theme-choice=auto]").click()
    assert page.evaluate("document.documentElement.dataset.theme ?? 'auto'") == "auto"


def test_times_are_in_the_readers_zone_with_utc_on_hover(
    open_page: Opener, city: list[Event]
) -> None:
    page = open_page(f"/events/{city[-1].uuid}/")
    shown = page.locator("main time").first
    utc = city[-1].time
    local = page.evaluate(
        "ms => new Date(ms).toLocaleTimeString('de-DE', {timeZone: 'Europe/Berlin'})", utc
    )
    expect(shown).to_contain_text(local)
    expect(shown).to_have_attribute("title", re.compile(" UTC$"))
    expect(page.locator(".statusbar")).to_contain_text("Europe/Berlin")


def test_the_keyboard_moves_opens_and_gives_back_the_place(
    open_page: Opener, city: list[Event]
) -> None:
    page = open_page("/history/")
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    second = city[-2].uuid
    expect(page.locator(f'tr[data-id="{second}"] a.row')).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#pane .id")).to_have_text(second)
    expect(page.locator(f'tr[data-id="{second}"]')).to_have_attribute("aria-selected", "true")
    assert f"event={second}" in page.url
    page.keyboard.press("Escape")
    expect(page.locator("#pane")).to_be_hidden()
    expect(page.locator(f'tr[data-id="{second}"] a.row')).to_be_focused()
    assert "event=" not in page.url


def test_the_keyboard_leads_to_pages_and_to_the_query(open_page: Opener, city: list[Event]) -> None:
    page = open_page("/")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url("**/history/")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("key:7")
    page.keyboard.press("Enter")
    page.wait_for_url("**/history/?q=key*")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def test_older_events_come_below_and_the_gap_stands_between(
    open_page: Opener, city: list[Event]
) -> None:
    page = open_page("/history/")
    expect(page.locator("tr[data-id]")).to_have_count(100)
    page.get_by_role("link", name="Load older").click()
    expect(page.locator("tr[data-id]")).to_have_count(150)
    expect(page.locator("tr.gap")).to_have_count(1)
    expect(page.locator("tr.gap")).to_contain_text("the subscription was lost")
    expect(page.locator("tr.more")).to_contain_text("the beginning of this window")


def test_a_payload_folds_and_changes_its_view_in_place(
    open_page: Opener, city: list[Event]
) -> None:
    page = open_page(f"/events/{city[-1].uuid}/")
    lines = page.locator(".tree .l:visible")
    before = lines.count()
    assert before > 2
    page.locator(".fold").first.click()
    expect(lines).to_have_count(2)
    page.locator(".fold").first.click()
    expect(lines).to_have_count(before)
    page.get_by_role("link", name="Hex").click()
    expect(page.locator(".hexdump")).to_contain_text("00000000")
    page.wait_for_url("**/?view=hex")


def test_a_mistake_in_a_query_is_under_the_cursor(open_page: Opener) -> None:
    source()
    page = open_page("/history/?q=type:a+)")
    expect(page.locator("#q")).to_be_focused()
    assert page.evaluate("document.querySelector('#q').selectionStart") == 7


def test_what_is_under_the_pointer_stays_while_the_page_refreshes(
    open_page: Opener, city: list[Event]
) -> None:
    page = open_page("/")
    drawn(page)
    page.clock.install()
    page.reload()
    drawn(page)
    link = page.locator("#sources a").first
    link.hover()
    before = link.bounding_box()
    source("another", state="failed", reason="wrong password")
    with page.expect_response("**/overview/part/"):
        page.clock.run_for(5000)
    assert link.bounding_box() == before
    expect(page.locator("#attention")).not_to_contain_text("another")
    # A pointer that was left there does not hide it for ever.
    page.clock.run_for(20_000)
    with page.expect_response("**/overview/part/"):
        page.clock.run_for(5000)
    expect(page.locator("#attention")).to_contain_text("another")


def test_without_scripts_every_page_can_still_be_read(open_page: Opener, city: list[Event]) -> None:
    page = open_page("/history/", java_script_enabled=False)
    page.locator("a.row").first.click()
    page.wait_for_url(f"**/events/{city[-1].uuid}/")
    expect(page.locator(".tree")).to_contain_text("4711")
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("h1")).to_contain_text("OrderPlaced")
