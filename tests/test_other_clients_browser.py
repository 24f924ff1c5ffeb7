"""What other people's clients send is on the Live page, and whole and unchanged in History.

`tests/test_first_light.py` has those of RabbitMQ, Redis and Kafka.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from tests.conftest import require
from tests.hub import Hub, NewSource, running_hub
from tests.other_clients import CLIENTS, Client
from tests.servers.process import wait_until
from tests.servers.side_by_side import side_by_side

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

TEN_SECONDS = 10_000
"""Milliseconds from the end of the sending until it must be shown."""


class Scene(NamedTuple):
    hub: Hub
    live: Page
    """The Live page, open from before anything was sent."""
    clients: dict[str, Client]
    sources: dict[str, int]
    """Ids by client."""


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Client]]:
    """Those whose programs are here."""
    with side_by_side(
        {name: other.ready for name, other in CLIENTS.items() if other.missing() is None}
    ) as ready:
        yield ready


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: Any,
    browser: Browser,
    clients: dict[str, Client],
) -> Iterator[Scene]:
    """Everything is observed, and somebody looks at the Live page."""
    with running_hub(tmp_path_factory.mktemp("hub"), redis_server.url) as hub:
        names = {client: re.sub(r"[^a-z]+", "-", client).strip("-") for client in clients}
        by_name = hub.add(
            [
                NewSource(names[name], CLIENTS[name].kind, made.config)
                for name, made in clients.items()
            ]
        )
        sources = {client: by_name[name] for client, name in names.items()}
        with hub.signed_in(browser) as live:
            live.goto("/live/")
            live.get_by_text("connected").first.wait_for()
            for client, source in sources.items():
                up = partial(is_up, hub, source)
                wait_until(up, seconds=60, what=f"what {client} sends to is observed")
            yield Scene(hub, live, clients, sources)


@pytest.mark.parametrize("name", CLIENTS)
def test_what_another_client_sends_is_shown_live_and_kept_as_it_was(
    name: str, scene: Scene
) -> None:
    require(name, CLIENTS[name].missing())
    client = scene.clients[name]
    order = f"order by {name}"
    payload = f'{{"order": "{order}", "note": "café ☃"}}'.encode()
    client.send(payload)
    scene.live.get_by_text(order).first.wait_for(timeout=TEN_SECONDS)

    page = scene.live.context.new_page()
    page.goto(f"/events/{event_of(scene, name)}/")
    assert page.request.get(f"{page.url}raw/").body() == payload
    expect(page.locator(fact("Destination"))).to_have_text(client.destination)
    for title, text in client.facts.items():
        expect(page.locator(fact(title))).to_contain_text(text)
    headers = {
        tuple(cell.strip() for cell in row.locator("td").all_inner_texts())
        for row in page.locator("table.headers tbody tr").all()
    }
    page.close()
    assert headers >= client.headers


def fact(title: str) -> str:
    """What an event's page shows under this title."""
    return f"dt:text-is('{title}') + dd"


def is_up(hub: Hub, source: int) -> bool:
    return hub.installation.state(source) == "up"


def event_of(scene: Scene, name: str) -> UUID:
    """The one event of a client's source."""
    [(found,)] = scene.hub.installation.rows(
        f"SELECT id FROM events WHERE source_id = {scene.sources[name]}"
    )
    return UUID(bytes=bytes(found))
