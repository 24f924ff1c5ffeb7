"""Overview: what flows, what is missing, who needs a person."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from eventhub.brokers.contract import Gap
from eventhub.sources.models import Source
from tests.pages import event, now, sign_in, source, store

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

MINUTE = 60_000
QUERIES = 6
"""Session, person, role, sources of the frame, sources of the page; the store's are beside."""


@pytest.fixture
def viewer(client: Client) -> Client:
    return sign_in(client)


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_without_a_source_it_says_what_to_do_next(viewer: Client) -> None:
    page = viewer.get("/").content.decode()
    assert reverse("source-add") in page
    assert "bin/run" in page


def test_the_statement_tells_rate_sources_and_what_is_kept(viewer: Client) -> None:
    shop = source()
    source("ticks", state="not connected")
    source("idle", desired=Source.Desired.STOPPED, state="stopped")
    store(shop, [event(shop) for _ in range(120)])
    words = text(viewer, "/")
    assert "events/s from 1 of 2 sources" in words
    assert "120 kept, back to" in words
    assert "stored within 12 ms" in words
    assert "no gaps in 24 h" in words


def test_a_calm_day_says_so(viewer: Client) -> None:
    source()
    assert "Nothing needs you." in text(viewer, "/")


@pytest.mark.parametrize(
    ("state", "told", "words"),
    [
        ("not connected", {"reason": "refused"}, "shop is not connected : refused"),
        (
            "failed",
            {"reason": "wrong password", "way_out": "Enter it again."},
            "shop failed and needs a person : wrong password. Enter it again",
        ),
        ("up", {"heartbeat": timezone.now() - timedelta(minutes=2)}, "shop has no heartbeat"),
        (None, {}, "shop has no collector"),
    ],
)
def test_trouble_is_told_with_its_reason_and_a_way(
    viewer: Client, state: str | None, told: dict[str, Any], words: str
) -> None:
    source(state=state, **told)
    assert words in text(viewer, "/")
    assert reverse("source", args=["shop"]) in viewer.get("/").content.decode()


def test_a_stopped_source_needs_nobody(viewer: Client) -> None:
    source(desired=Source.Desired.STOPPED, state="stopped")
    assert "Nothing needs you." in text(viewer, "/")


def test_gaps_are_counted_and_lead_to_their_place_in_the_history(viewer: Client) -> None:
    shop = source()
    ended = now() - 10 * MINUTE
    store(shop, gaps=[Gap("the tap queue overflowed", ended - 6000, ended, 120)])
    words = text(viewer, "/")
    assert "1 gap in 24 h" in words
    assert "shop has a gap in 24 h, at least 120 events missed : the tap queue overflowed" in words
    assert f"from={ended - 6000 - MINUTE}" in viewer.get("/").content.decode()


def test_the_most_urgent_source_is_first(viewer: Client) -> None:
    source("a-up")
    source("b-down", state="not connected")
    source("c-failed", state="failed")
    page = viewer.get("/").content.decode()
    table = page[page.index('id="sources"') :]
    names = re.findall(r"<b>([a-c]-\w+)</b>", table)
    assert names == ["b-down", "c-failed", "a-up"]


def test_the_parts_that_refresh_are_those_of_the_page(viewer: Client) -> None:
    source()
    parts = viewer.get(reverse("overview-part")).content.decode()
    assert re.findall(r'id="(statement|attention|sources|flows)"', parts) == [
        "statement",
        "attention",
        "sources",
        "flows",
    ]
    assert "<html" not in parts


@pytest.mark.parametrize("window", ["15m", "1h", "24h", "7d"])
def test_the_chart_is_a_figure_with_words_and_a_table(viewer: Client, window: str) -> None:
    shop = source()
    at = now() - (10 if window == "15m" else 45) * MINUTE
    store(shop, [event(shop, at) for _ in range(60)], [Gap("away", at + MINUTE, at + 2 * MINUTE)])
    address = f"{reverse('overview-chart')}?window={window}"
    figure = viewer.get(address).json()
    lines = [trace for trace in figure["data"] if trace["name"] == "shop"]
    assert max(value for value in lines[0]["y"] if value is not None) > 0
    assert [trace["name"] for trace in figure["data"]] == ["gap, shop", "shop"]
    if window in ("15m", "1h"):  # in a longer step there may be events beside the gap
        assert None in lines[0]["y"]
    assert figure["words"].startswith("Events per second: shop between ")
    table = text(viewer, f"{address}&as=table")
    assert "shop" in table
    assert "shop: away" in table


def test_an_unknown_window_is_not_an_error(viewer: Client) -> None:
    source()
    assert viewer.get("/?window=century").status_code == 200


def test_more_sources_cost_no_more_queries(
    viewer: Client, django_assert_max_num_queries: object
) -> None:
    for number in range(8):
        source(f"s{number}")
    with django_assert_max_num_queries(QUERIES):  # type: ignore[operator]
        viewer.get("/")


def test_a_part_does_not_pay_for_the_frame(
    viewer: Client, django_assert_max_num_queries: object
) -> None:
    source()
    with django_assert_max_num_queries(QUERIES - 1):  # type: ignore[operator]
        viewer.get(reverse("overview-part"))


def test_strangers_are_sent_to_the_door(client: Client) -> None:
    for name in ("overview", "overview-part", "overview-chart", "history", "history-rows"):
        answer = client.get(reverse(name))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/sign-in/")


def test_the_busiest_destinations_are_shown_with_their_types(viewer: Client) -> None:
    shop = source()
    at = now() - MINUTE
    store(
        shop,
        [event(shop, at, destination="orders", type="OrderPlaced") for _ in range(3)]
        + [event(shop, at, destination='pay "ments"', type=None)],
    )
    table = html.unescape(text(viewer, "/")).partition("What flows where")[2]
    assert table.index("orders") < table.index('pay "ments"')
    assert "OrderPlaced 3" in table
    assert "no type 1" in table
    page = viewer.get("/").content.decode()
    (address,) = re.findall(r'href="(/history/[^"]*pay[^"]*)"', page)
    found = html.unescape(text(viewer, html.unescape(address))).partition("Payload")[2]
    assert 'pay "ments"' in found
    assert "OrderPlaced" not in found


@pytest.mark.parametrize(("late", "word"), [(-5, "not connected"), (20, "no heartbeat")])
def test_a_collector_that_waits_to_try_again_is_not_called_silent(
    viewer: Client, late: int, word: str
) -> None:
    moment = timezone.now()
    shop = source(state="not connected", heartbeat=moment - timedelta(seconds=25))
    shop.statuses.update(retry_at=moment - timedelta(seconds=late))
    assert word in text(viewer, "/").partition("Needs attention")[2]
