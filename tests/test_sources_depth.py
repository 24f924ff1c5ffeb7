"""What is shown of a source's depths: the last look, what it left out, and why one failed."""

import msgspec
import pytest
from django.test import Client

from eventhub.brokers.contract import Depth, Depths
from eventhub.sources.models import DepthReading, Source
from tests.pages import sign_in
from tests.pages import source as made

pytestmark = [pytest.mark.django_db(databases=["default", "events"])]


@pytest.fixture
def source() -> Source:
    return made()


def page(source: Source) -> str:
    return sign_in(Client()).get(f"/sources/of/{source.name}/").content.decode()


def read(source: Source, *samples: Depth, left_out: int = 0, problem: str = "") -> None:
    packed = msgspec.msgpack.encode(Depths(list(samples), left_out))
    DepthReading.objects.create(source=source, packed=packed, problem=problem)


def test_the_fullest_come_first_and_dead_letters_before_them(source: Source) -> None:
    read(
        source,
        Depth("orders", waiting=12),
        Depth("payments", waiting=4_711, in_flight=3, group="billing"),
        Depth("orders.dead", waiting=1, dead_letters=True),
        Depth("empty.dead", waiting=0, dead_letters=True),
    )
    text = page(source)
    assert "4\u202f711" in text
    assert "billing" in text
    places = [
        text.index(f">{name}") for name in ("orders.dead", "payments", "orders<", "empty.dead")
    ]
    assert places == sorted(places)


def test_what_is_left_out_is_counted(source: Source) -> None:
    read(source, *(Depth(f"q{n}", waiting=n) for n in range(40)), left_out=100)
    assert "110 more, less full, are not shown." in page(source)


def test_a_look_that_failed_says_why_and_the_last_one_stays(source: Source) -> None:
    read(source, Depth("orders", waiting=12), problem="The management API is away.")
    text = page(source)
    assert "The last look failed: The management API is away." in text
    assert ">orders" in text


def test_a_source_whose_depths_are_not_wanted_shows_none(source: Source) -> None:
    Source.objects.update(depth_every=0)
    read(source, Depth("orders", waiting=12))
    text = page(source)
    assert ">orders" not in text
    assert "not looked at" in text
