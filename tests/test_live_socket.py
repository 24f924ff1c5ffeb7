"""The websocket of the live page: who may listen, what is said, and how much at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore

from dashboard.consumers import MOST_UNACKNOWLEDGED
from eventhub.accounts.roles import Role, give_role
from eventhub.asgi import application
from tests.live_feed import LiveSource

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def sign_in(role: Role | None = Role.VIEWER) -> SessionStore:
    user = User.objects.create_user("watcher")
    if role:
        give_role(user, role)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session


class Socket:
    def __init__(self, session: SessionStore | None, origin: str = "http://localhost") -> None:
        headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
        if session:
            headers.append((b"cookie", f"sessionid={session.session_key}".encode()))
        self.channel = WebsocketCommunicator(application, "/ws/live/", headers=headers)

    async def open(self) -> bool:
        accepted, _ = await self.channel.connect(timeout=5)
        return bool(accepted)

    async def say(self, **message: Any) -> None:
        await self.channel.send_to(text_data=json.dumps(message))

    async def hear(self, kind: str, seconds: float = 10) -> dict[str, Any]:
        """The next message of a type; frames are acknowledged."""
        while True:
            message: dict[str, Any] = json.loads(await self.channel.receive_from(timeout=seconds))
            if message["type"] == "frame":
                await self.say(type="ack", n=message["n"])
            if message["type"] == kind:
                return message
            assert message["type"] == "frame", message

    async def closed_with(self) -> int:
        output = await self.channel.receive_output(timeout=10)
        assert output["type"] == "websocket.close", output
        return int(output["code"])


@pytest.fixture
async def sockets(redis_server: Any, settings: Any) -> AsyncIterator[list[Socket]]:
    settings.REDIS_URL = redis_server.url
    opened: list[Socket] = []
    yield opened
    for socket in opened:
        await socket.channel.disconnect()


@pytest.fixture
def shop(redis_server: Any, transactional_db: None) -> LiveSource:
    return LiveSource("shop", redis_server.url)


async def opened(sockets: list[Socket], session: SessionStore, filter: str = "") -> Socket:
    socket = Socket(session)
    sockets.append(socket)
    assert await socket.open()
    await socket.say(type="subscribe", filter=filter, cursor=None)
    ready = await socket.hear("ready")
    assert ready["filter"] == filter
    while (await socket.hear("frame"))["trouble"]:
        pass
    return socket


@pytest.mark.parametrize(
    ("signed_in", "reason", "code"), [(True, "no-role", 4403), (False, "signed-out", 4401)]
)
async def test_who_may_not_look_is_told_why(
    sockets: list[Socket], signed_in: bool, reason: str, code: int
) -> None:
    socket = Socket(sign_in(role=None) if signed_in else None)
    assert await socket.open()
    assert (await socket.hear("refused"))["reason"] == reason
    assert await socket.closed_with() == code


async def test_another_site_is_not_let_in(sockets: list[Socket]) -> None:
    assert not await Socket(sign_in(), origin="https://evil.example").open()


async def test_signing_out_closes_within_a_few_seconds(
    sockets: list[Socket], shop: LiveSource
) -> None:
    session = sign_in()
    socket = await opened(sockets, session)
    session.delete()
    assert (await socket.hear("refused"))["reason"] == "signed-out"
    assert await socket.closed_with() == 4401


async def test_a_role_that_is_taken_away_closes(sockets: list[Socket], shop: LiveSource) -> None:
    socket = await opened(sockets, sign_in())
    User.objects.get().groups.clear()
    assert (await socket.hear("refused"))["reason"] == "no-role"


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"type":"frame"}', '{"type":"subscribe","cursor":"x"}']
)
async def test_what_is_not_understood_closes_with_a_reason(
    sockets: list[Socket], text: str
) -> None:
    socket = Socket(sign_in())
    assert await socket.open()
    await socket.channel.send_to(text_data=text)
    assert (await socket.hear("refused"))["reason"] == "not-understood"
    assert await socket.closed_with() == 4400


async def test_a_filter_that_cannot_be_read_leaves_the_one_before(
    sockets: list[Socket], shop: LiveSource
) -> None:
    socket = await opened(sockets, sign_in(), "type:OrderPlaced")
    await socket.say(type="subscribe", filter="type:(a OR", cursor=None)
    error = await socket.hear("error")
    assert error["position"] == 10
    assert error["message"]
    shop.announce(shop.events(1) + shop.events(1, "PaymentFailed"))
    while not (frame := await socket.hear("frame"))["events"]:
        pass
    assert [row["type"] for row in frame["events"]] == ["OrderPlaced"]


async def test_a_frame_tells_rows_counts_gaps_and_where_to_go_on(
    sockets: list[Socket], shop: LiveSource
) -> None:
    socket = await opened(sockets, sign_in(), "type:OrderPlaced")
    (event, _) = shop.events(1) + shop.events(1, "PaymentFailed")
    shop.announce([event, *shop.events(1, "PaymentFailed")])
    while not (frame := await socket.hear("frame"))["matched"]:
        pass
    assert frame["events"] == [
        {
            "id": event.uuid, "time": event.time, "source": "shop", "destination": "orders.placed",
            "type": "OrderPlaced", "key": "47112", "size": 15, "preview": '{"order": 4711}',
            "flags": [],
        }
    ]  # fmt: skip
    assert (frame["matched"], frame["passed"], frame["types"]) == (1, 2, [["OrderPlaced", 1]])
    assert frame["gaps"] == frame["holes"] == []
    assert len(frame["cursor"]) == 32
    assert frame["start"] < frame["end"]


async def test_a_page_that_does_not_acknowledge_gets_less_but_every_count(
    sockets: list[Socket], shop: LiveSource
) -> None:
    socket = await opened(sockets, sign_in())
    frames: list[dict[str, Any]] = []
    announced = 0
    while len(frames) < MOST_UNACKNOWLEDGED:
        announced += shop.announce(shop.events(100)) * 100
        frames.append(json.loads(await socket.channel.receive_from(timeout=5)))
    for _ in range(20):
        announced += shop.announce(shop.events(100)) * 100
    assert await socket.channel.receive_nothing(timeout=1.5)
    await socket.say(type="ack", n=frames[-1]["n"])
    rest = await socket.hear("frame")
    frames.append(rest)
    while sum(frame["matched"] for frame in frames) < announced:
        frames.append(await socket.hear("frame"))
    assert sum(frame["matched"] for frame in frames) == announced
    assert len(rest["events"]) <= 120


async def test_a_quiet_page_hears_a_sign_of_life_every_second(
    sockets: list[Socket], shop: LiveSource
) -> None:
    socket = await opened(sockets, sign_in())
    loop = asyncio.get_running_loop()
    heard: list[float] = []
    while len(heard) < 3:
        await socket.hear("frame", seconds=3)
        heard.append(loop.time())
    assert heard[-1] - heard[0] > 1.5
