"""The hub brings every page what matches, survives Redis, and leaves nothing out unsaid."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from threading import Event as Signal
from typing import Any

import msgspec
import pytest
import redis

from dashboard.live.filters import Viewer
from dashboard.live.hub import Hub
from dashboard.live.reading import Busy, Reading
from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from eventhub.live.frames import CHANNEL, PAYLOAD_LIMIT
from eventhub.live.screen import DRAW_BUDGET, Slice
from eventhub.query.errors import QueryError
from tests.live_feed import LiveSource, until

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


class Page:
    """Looks at a screen ten times a second and keeps what it saw."""

    def __init__(self, hub: Hub, viewer: Viewer) -> None:
        self.hub = hub
        self.viewer = viewer
        self.slices: list[Slice] = []
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while True:
            self.slices.append(self.viewer.screen.cut(time.time_ns() // 1_000_000))
            await asyncio.sleep(0.1)

    def leave(self) -> None:
        self._task.cancel()
        self.hub.leave(self.viewer)

    @property
    def matched(self) -> int:
        return sum(piece.matched for piece in self.slices)

    @property
    def passed(self) -> int:
        return sum(piece.passed for piece in self.slices)

    @property
    def shown(self) -> list[str]:
        return [row.id for piece in self.slices for row in piece.events]

    @property
    def before(self) -> list[str]:
        return [row.id for piece in self.slices for row in piece.again]


class Opener:
    def __init__(self, url: str) -> None:
        self.hub = Hub(url)
        self.pages: list[Page] = []

    async def __call__(self, text: str = "", cursor: int | None = None) -> Page:
        page = Page(self.hub, await self.hub.join(text, cursor))
        self.pages.append(page)
        await until(lambda: self.hub.trouble is None, "subscribed")
        return page


@pytest.fixture
async def open_page(redis_server: Any) -> AsyncIterator[Opener]:
    opener = Opener(redis_server.url)
    yield opener
    for page in opener.pages:
        page.leave()
    await asyncio.sleep(0)


@pytest.fixture
def shop(redis_server: Any, transactional_db: None) -> LiveSource:
    return LiveSource("shop", redis_server.url)


def uuids(events: list[Event]) -> list[str]:
    return [event.uuid for event in events]


async def test_each_page_gets_what_its_filter_lets_through(
    open_page: Opener, shop: LiveSource
) -> None:
    everything = await open_page()
    paid = await open_page("type:PaymentFailed source:shop")
    paid_too = await open_page("type:PaymentFailed source:shop")
    placed, failed = shop.events(5), shop.events(2, "PaymentFailed")
    shop.announce(placed + failed)
    await until(lambda: everything.matched == 7, "all seven events")
    await until(lambda: paid.matched == paid_too.matched == 2, "the two failed payments")
    assert everything.shown == uuids(placed + failed)
    assert paid.shown == paid_too.shown == uuids(failed)
    assert paid.passed == 7


async def test_a_flood_is_counted_exactly_and_drawn_within_the_budget(
    open_page: Opener, shop: LiveSource
) -> None:
    page = await open_page()
    started = time.monotonic()
    for _ in range(20):
        shop.announce(shop.events(1000))
    await until(lambda: page.matched == 20_000, "20,000 events counted")
    seconds = time.monotonic() - started
    assert len(page.shown) <= DRAW_BUDGET * (seconds + 2)
    assert len(set(page.shown)) == len(page.shown)


async def test_a_gap_is_told_to_every_page(open_page: Opener, shop: LiveSource) -> None:
    page = await open_page("type:Nothing")
    gap = Gap("lost its Redis subscription", 1_770_000_000_000, 1_770_000_000_007, missed=3)
    shop.announce([], [gap])
    await until(lambda: any(piece.gaps for piece in page.slices), "the gap")
    (told,) = [each for piece in page.slices for each in piece.gaps]
    assert (told.source, told.gap) == ("shop", gap)


async def test_a_filter_that_cannot_be_read_says_where(open_page: Opener) -> None:
    with pytest.raises(QueryError) as refused:
        await open_page.hub.join("type:(a OR", None)
    assert refused.value.position == 10


async def test_bytes_that_are_no_frame_are_left_out(
    open_page: Opener, shop: LiveSource, redis_server: Any
) -> None:
    page = await open_page()
    with redis.Redis.from_url(redis_server.url) as client:
        client.publish(CHANNEL, b"\xc1 nonsense")
        client.publish(CHANNEL, msgspec.msgpack.encode({"version": 9}))
    shop.announce(shop.events(1))
    await until(lambda: page.matched == 1, "the event after the nonsense")


async def test_now_in_a_filter_moves_on(open_page: Opener, shop: LiveSource) -> None:
    page = await open_page("time:[now-2s TO now]")
    old = shop.events(1)
    await asyncio.sleep(2.5)
    shop.announce(old + shop.events(1))
    await until(lambda: page.passed == 2, "both events observed")
    assert page.matched == 1


async def test_a_page_that_opens_begins_with_the_last_minute(
    open_page: Opener, shop: LiveSource
) -> None:
    stored = shop.store(shop.events(3, "PaymentFailed"))
    shop.store(shop.events(2))
    page = await open_page("type:PaymentFailed")
    await until(lambda: page.before, "rows from before")
    assert page.before == uuids(stored)
    assert page.matched == 0


async def test_a_page_that_comes_back_gets_what_it_missed_once(
    open_page: Opener, shop: LiveSource
) -> None:
    first = await open_page()
    seen = shop.store(shop.events(2))
    shop.announce(seen)
    await until(lambda: first.matched == 2, "the first two")
    cursor = first.hub.confirmed
    first.leave()
    open_page.pages.remove(first)
    await asyncio.sleep(0.01)
    missed = shop.store(shop.events(4))
    shop.announce(missed)
    late = shop.store(shop.events(3))
    second = await open_page(cursor=cursor)
    await until(lambda: second.matched >= 7, "what was missed")
    shop.announce(late)
    more = shop.store(shop.events(1))
    shop.announce(more)
    await until(lambda: second.matched == 8, "what came after")
    assert second.shown == uuids(missed + late + more)
    assert set(second.before) <= set(uuids(seen))


async def test_more_than_can_be_read_is_marked_as_a_hole(
    open_page: Opener, shop: LiveSource
) -> None:
    cursor = time.time_ns() // 1_000_000
    await asyncio.sleep(0.01)
    for _ in range(3):
        shop.store(shop.events(500))
        await asyncio.sleep(0.01)
    page = await open_page(cursor=cursor)
    await until(lambda: page.matched == 1000, "a thousand events")
    (hole,) = [hole for piece in page.slices for hole in piece.holes]
    assert cursor <= hole.start < hole.end


async def test_a_lost_frame_is_brought_from_the_store(open_page: Opener, shop: LiveSource) -> None:
    page = await open_page("type:OrderPlaced")
    first = shop.store(shop.events(2))
    shop.announce(first)
    await until(lambda: page.matched == 2, "the first frame")
    lost = shop.store(shop.events(3))
    shop.lose_a_frame()
    last = shop.store(shop.events(2))
    shop.announce(last)
    await until(lambda: page.matched == 7, "the lost frame's events")
    assert sorted(page.shown) == uuids(first + lost + last)


async def test_pages_recover_when_redis_is_restarted(
    open_page: Opener, shop: LiveSource, redis_server: Any
) -> None:
    page = await open_page()
    first = shop.store(shop.events(2))
    shop.announce(first)
    await until(lambda: page.matched == 2, "events before")
    redis_server.kill()
    await until(lambda: page.hub.trouble, "the page is told")
    missed = shop.store(shop.events(5))
    shop.lose_a_frame()
    redis_server.start()
    await until(lambda: page.hub.trouble is None, "subscribed again")
    last = shop.store(shop.events(1))
    shop.announce(last)
    await until(lambda: page.matched == 8, "events during and after")
    assert sorted(page.shown) == uuids(first + missed + last)


async def test_a_payload_that_a_frame_cut_is_judged_whole(
    open_page: Opener, shop: LiveSource
) -> None:
    page = await open_page('payload.last:"needle"')
    payload = b'{"first": "%s", "last": "needle"}' % (b"x" * 2 * PAYLOAD_LIMIT)
    (stored,) = shop.store(shop.events(1, payload=payload))
    shop.announce([msgspec.structs.replace(stored, payload=payload[:PAYLOAD_LIMIT])])
    await until(lambda: page.matched == 1, "the long event")
    assert page.shown == [stored.uuid]


async def test_the_hub_listens_only_while_somebody_looks(
    open_page: Opener, shop: LiveSource
) -> None:
    page = await open_page()
    assert shop.announce([]) == 1
    page.leave()
    open_page.pages.remove(page)
    await until(lambda: shop.announce([]) == 0, "nobody subscribed")
    again = await open_page()
    shop.announce(shop.events(1))
    await until(lambda: again.matched == 1, "listening again")


async def test_reading_refuses_more_than_it_has_room_for() -> None:
    reading = Reading("test", threads=1, queue=1, seconds=0.1)
    go_on = Signal()
    slow = [asyncio.create_task(reading.run(go_on.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await reading.run(lambda: None)
    for task in slow:
        with pytest.raises(Busy):
            await task
    go_on.set()
    answers: list[int] = []

    async def ask() -> None:
        while not answers:
            with suppress(Busy):
                answers.append(await reading.run(lambda: 7))
            await asyncio.sleep(0.01)

    await asyncio.wait_for(ask(), 10)
    assert answers == [7]
