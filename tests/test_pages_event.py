"""Event: all that is known of one event, whatever its payload is."""

import re
import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from eventhub.events.headers import encode_headers
from tests.pages import HOSTILE, event, now, sign_in, source, store

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


@pytest.fixture
def viewer(client: Client) -> Client:
    return sign_in(client)


def shown(client: Client, event_id: str, address: str = "", name: str = "event") -> str:
    answer = client.get(reverse(name, args=[event_id]) + address)
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_everything_about_a_delivery_is_there(viewer: Client) -> None:
    shop = source()
    at = now() - 5000
    one = event(
        shop,
        at,
        key="47112",
        correlation_id="4f2a",
        message_id="m-1",
        position="88204117",
        content_type="application/json",
        event_time=at - 17,
        broker_time=at - 14,
        redeliveries=2,
        headers=encode_headers(
            [("tenant", "acme"), ("trace", b"\xff\x00"), ("x-death", [{"count": 3}])]
        ),
    )
    store(shop, [one])
    page = words(shown(viewer, one.uuid))
    for told in (
        one.uuid, "OrderPlaced", "47112", "4f2a", "m-1", "88204117", "application/json", "tenant",
        "acme", "bytes", "+3 ms", "+17 ms", "2 times after it was stored",
        "kept whole", '&quot;count&quot;: 3',
    ):  # fmt: skip
        assert told in page, told


def test_previous_and_next_stay_in_the_destination(viewer: Client) -> None:
    shop = source()
    at = now() - 9000
    first, other, last = event(shop, at), event(shop, at + 1, destination="x"), event(shop, at + 2)
    store(shop, [first, other, last])
    page = shown(viewer, first.uuid)
    assert 'rel="next"' in page
    assert 'rel="prev"' not in page
    (href,) = re.findall(r'href="([^"]+)" rel="next"', page)
    assert last.uuid in viewer.get(href).content.decode()


def test_json_is_a_tree_as_it_was_written(viewer: Client) -> None:
    shop = source()
    one = event(shop, payload=b'{"a":1,"a":2,"n":1e400,"list":[true,null]}')
    store(shop, [one])
    tree = shown(viewer, one.uuid)
    tree = words(tree[tree.index("data-tree") : tree.index("</pre>")])
    assert "1e400" in tree
    assert tree.count('"a"') == 2


def test_text_and_hex_are_a_tab_away(viewer: Client) -> None:
    shop = source()
    one = event(shop, payload=b'{"a":1}')
    store(shop, [one])
    assert "7b 22 61 22 3a 31 7d" in shown(viewer, one.uuid, "?view=hex")
    assert "{&quot;a&quot;:1}" in shown(viewer, one.uuid, "?view=text")


def test_binary_begins_as_hex_and_can_be_paged(viewer: Client) -> None:
    shop = source()
    one = event(shop, payload=bytes(range(256)) * 64)
    store(shop, [one])
    assert "bytes 0 to 4096" in shown(viewer, one.uuid)
    assert "00003000" in shown(viewer, one.uuid, "?view=hex&offset=12288")
    assert "00003000" in shown(viewer, one.uuid, "?view=hex&offset=99999999999999")


def test_five_megabytes_are_a_small_page_soon(viewer: Client) -> None:
    shop = source()
    payload = b"[" + b'{"n": 1, "text": "lorem ipsum"},' * 160_000 + b"{}]"
    one = event(shop, payload=payload)
    store(shop, [one])
    for view in ("tree", "text", "hex"):
        started = time.monotonic()
        page = shown(viewer, one.uuid, f"?view={view}")
        assert time.monotonic() - started < 3
        assert len(page) < 700_000
        assert "Show raw" in page


def test_the_raw_bytes_come_back_as_they_were_and_as_nothing_a_browser_runs(
    viewer: Client,
) -> None:
    shop = source()
    payload = b"<script>alert(1)</script>\x00\xff"
    one = event(shop, payload=payload)
    store(shop, [one])
    answer = viewer.get(reverse("event-raw", args=[one.uuid]))
    assert answer.content == payload
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == f'attachment; filename="event-{one.uuid}.bin"'
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("fields", HOSTILE, ids=lambda fields: str(fields.get("type"))[:10])
def test_a_hostile_event_is_shown_as_text(viewer: Client, fields: dict[str, Any]) -> None:
    shop = source()
    one = event(shop, **fields)
    store(shop, [one])
    for view in ("", "?view=text", "?view=hex", "?view=tree"):
        for name in ("event", "event-pane"):
            page = shown(viewer, one.uuid, view, name)
            assert "<script>document" not in page
            assert "<svg onload" not in page
            assert "<b>bold" not in page
            assert "\u202e" not in page
            assert "\x00" not in page
            assert len(page) < 300_000


def test_a_clock_ahead_of_ours_is_told(viewer: Client) -> None:
    shop = source()
    one = event(shop, event_time=now() + 86_400_000)
    store(shop, [one])
    assert "the producer&#x27;s clock is ahead" in shown(viewer, one.uuid) or (
        "the producer's clock is ahead" in shown(viewer, one.uuid)
    )


def test_a_pane_is_a_part_and_its_payload_a_smaller_one(viewer: Client) -> None:
    shop = source()
    one = event(shop)
    store(shop, [one])
    pane = shown(viewer, one.uuid, name="event-pane")
    assert "<html" not in pane
    assert "data-close" in pane
    payload = shown(viewer, one.uuid, "?part=payload&view=hex", "event-pane")
    assert "Headers" not in payload
    assert "00000000" in payload


@pytest.mark.parametrize("name", ["event", "event-pane", "event-raw"])
@pytest.mark.parametrize("event_id", ["nonsense", "0" * 32, "019a5b1e7c407d2a9f11c04e5d6f7a8b"])
def test_what_is_not_kept_is_not_found(viewer: Client, name: str, event_id: str) -> None:
    answer = viewer.get(reverse(name, args=[event_id]))
    assert answer.status_code == 404
    assert "Search the history" in answer.content.decode()
