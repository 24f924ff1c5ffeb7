"""History: any past event, newest first."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from tests.pages import HOSTILE, event, now, sign_in, source, store

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

QUERIES = 5
SECOND = 1000


@pytest.fixture
def viewer(client: Client) -> Client:
    return sign_in(client)


def ids(html: str) -> list[str]:
    return re.findall(r'data-id="([^"]+)"', html)


def page(client: Client, address: str = "") -> str:
    answer = client.get(f"/history/{address}")
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_the_newest_is_first(viewer: Client) -> None:
    shop = source()
    start = now() - 60 * SECOND
    events = [event(shop, start + n * SECOND) for n in range(5)]
    store(shop, events)
    assert ids(page(viewer)) == [one.uuid for one in reversed(events)]


def test_a_query_finds_and_says_how_it_was_read(viewer: Client) -> None:
    shop = source()
    wanted = event(shop, type="PaymentFailed", payload=b'{"reason":"card declined"}')
    store(shop, [event(shop, payload=b"{}"), wanted])
    html = page(viewer, "?q=%22card+declined%22")
    assert ids(html) == [wanted.uuid]
    assert "Reads as: events containing “card declined”" in words(html)
    assert "<mark>card declined</mark>" in html


def test_a_broken_query_points_at_its_character_and_searches_nothing(viewer: Client) -> None:
    shop = source()
    store(shop, [event(shop)])
    html = page(viewer, "?q=type:a+)")
    assert 'data-at="7"' in html
    assert "<mark>)</mark>" in html
    assert "Nothing was searched" in html
    assert ids(html) == []


def test_pages_by_cursor_show_each_event_once(viewer: Client) -> None:
    shop = source()
    start = now() - 600 * SECOND
    events = [event(shop, start + n * SECOND) for n in range(250)]
    store(shop, events)
    html = page(viewer)
    seen = ids(html)
    while link := re.search(r'hx-get="([^"]+)"', html):
        html = viewer.get(link[1].replace("&amp;", "&")).content.decode()
        assert "<html" not in html
        seen += ids(html)
    assert seen == [one.uuid for one in reversed(events)]
    assert "250 events. Searched back to" in words(html)


def test_an_older_page_is_a_page_of_its_own_without_scripts(viewer: Client) -> None:
    shop = source()
    start = now() - 600 * SECOND
    store(shop, [event(shop, start + n * SECOND) for n in range(150)])
    link = re.search(r'href="(/history/\?[^"]*before=[^"]+)"', page(viewer))
    assert link is not None
    older = viewer.get(link[1].replace("&amp;", "&")).content.decode()
    assert len(ids(older)) == 50


def test_a_gap_is_told_where_it_happened(viewer: Client) -> None:
    shop = source()
    at = now() - 60 * SECOND
    before, after = event(shop, at), event(shop, at + 20 * SECOND)
    gap = Gap("its tap queue overflowed", at + 5 * SECOND, at + 9 * SECOND, 120)
    store(shop, [before, after], [gap])
    html = page(viewer)
    places = [
        html.index(after.uuid),
        html.index("its tap queue overflowed"),
        html.index(before.uuid),
    ]
    assert places == sorted(places)
    assert "120 missed" in html


def test_a_range_is_kept_in_the_address(viewer: Client) -> None:
    shop = source()
    at = now() - 3600 * SECOND
    inside, outside = event(shop, at), event(shop, at + 10 * SECOND)
    store(shop, [inside, outside])
    assert ids(page(viewer, f"?from={at - SECOND}&to={at + SECOND}")) == [inside.uuid]


def test_the_histogram_counts_what_the_rollups_know(viewer: Client) -> None:
    shop = source()
    store(shop, [event(shop) for _ in range(3)] + [event(shop, type="Other")])
    assert "3 match" in words(page(viewer, "?q=type:OrderPlaced"))
    assert "a bar" not in words(page(viewer, "?q=declined"))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "No events in this window"),
        ("?q=type:Nothing", "No event matches in this window"),
    ],
)
def test_an_empty_answer_says_what_was_searched_and_what_to_do(
    viewer: Client, address: str, told: str
) -> None:
    source()
    html = words(page(viewer, address))
    assert told in html
    assert "Look in 7 d" in html


def test_without_a_source_there_is_a_way_to_one(viewer: Client) -> None:
    assert reverse("source-add") in page(viewer)


def test_an_event_in_the_address_is_open_beside_the_list(viewer: Client) -> None:
    shop = source()
    one = event(shop)
    store(shop, [one])
    html = page(viewer, f"?event={one.uuid}")
    assert f'class="mono faint id">{one.uuid}' in html
    assert 'id="pane" aria-label="Selected event">' in html
    assert 'aria-label="Selected event" hidden' in page(viewer, "?event=nonsense")


def hostile(shop: object) -> list[Event]:
    return [event(shop, **fields) for fields in HOSTILE]  # type: ignore[arg-type]


def test_hostile_events_are_rows_like_others(viewer: Client) -> None:
    shop = source()
    events = hostile(shop)
    store(shop, events)
    html = page(viewer)
    assert len(ids(html)) == len(events)
    assert "<script>document" not in html
    assert "<svg onload" not in html
    assert "\u202e" not in html
    assert len(html) < 200_000


@pytest.mark.parametrize(
    "address",
    ["?before=zz", "?window=%00", "?from=²&to=x", "?shown=-1&type=" + "T" * 500, "?event=%00"],
)
def test_an_odd_address_is_a_page_all_the_same(viewer: Client, address: str) -> None:
    source()
    assert page(viewer, address)
    assert viewer.get(f"/history/rows/{address}").status_code == 200


def test_more_events_cost_no_more_queries(
    viewer: Client, django_assert_max_num_queries: object
) -> None:
    shop = source()
    store(shop, [event(shop) for _ in range(60)])
    with django_assert_max_num_queries(QUERIES):  # type: ignore[operator]
        page(viewer)
