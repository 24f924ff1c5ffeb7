"""Hosts share the sources: each is held by one, and taken over when its host is gone."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from eventhub.sources.leases import LEASE, Holding, Leases, host_name
from eventhub.sources.models import CollectorHost, Source, SourceLease
from tests.installation import Installation
from tests.servers.process import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def sources() -> list[Holding]:
    return [Holding(Source.objects.create(name=f"s{n}", kind="memory").pk) for n in range(4)]


@pytest.fixture
def shares() -> list[Holding]:
    """Of one source."""
    source = Source.objects.create(name="wide", kind="memory", shares=4)
    return [Holding(source.pk, share) for share in range(4)]


def expire(holder: str) -> None:
    """As if this host had not renewed for long."""
    past = Now() - timedelta(seconds=1)
    SourceLease.objects.filter(holder=holder).update(expires=past)
    CollectorHost.objects.filter(name=holder).update(seen=Now() - timedelta(seconds=LEASE + 1))


def test_a_host_that_is_alone_holds_all(sources: list[Holding]) -> None:
    one = Leases("one")
    one.keep(sources, [])
    assert one.held == set(sources)


def test_a_second_host_gets_its_share_when_the_first_has_let_go(sources: list[Holding]) -> None:
    one, two = Leases("one"), Leases("two")
    one.keep(sources, [])
    two.keep(sources, [])
    assert two.held == set()
    one.keep(sources, sources)
    assert len(one.held) == 2
    two.keep(sources, [])
    assert two.held == set(), "the first still runs what it lets go"
    one.keep(sources, one.held)
    two.keep(sources, [])
    assert one.held | two.held == set(sources)
    assert one.held & two.held == set()


def test_what_a_dead_host_held_is_taken_over(sources: list[Holding]) -> None:
    one, two = Leases("one"), Leases("two")
    one.keep(sources, [])
    expire("one")
    two.keep(sources, [])
    assert two.held == set(), "a host that has just come cannot tell who is late"
    two.keep(sources, [])
    assert two.held == set(sources)
    one.keep(sources, sources)
    assert one.held == set(), "the first does not get back what another holds"


def test_a_host_that_starts_again_goes_on_with_its_own(sources: list[Holding]) -> None:
    Leases("one").keep(sources, [])
    again = Leases("one")
    again.keep(sources, [])
    assert again.held == set(sources)


def test_what_nobody_wants_is_given_up_and_leaving_gives_up_all(sources: list[Holding]) -> None:
    one = Leases("one")
    one.keep(sources, [])
    one.keep(sources[:1], [])
    assert list(SourceLease.objects.values_list("source_id", "share")) == sources[:1]
    one.leave()
    assert not SourceLease.objects.exists()
    assert not CollectorHost.objects.exists()


def test_hosts_divide_the_shares_of_one_source_and_take_over_each_others(
    shares: list[Holding],
) -> None:
    one, two = Leases("one"), Leases("two")
    two.keep([], [])
    one.keep(shares, [])
    two.keep(shares, [])
    assert (len(one.held), len(two.held)) == (2, 2)
    assert one.held | two.held == set(shares)
    expire("one")
    two.keep(shares, [])
    assert two.held == set(shares)


def test_a_share_that_is_no_more_is_given_up(shares: list[Holding]) -> None:
    one = Leases("one")
    one.keep(shares, [])
    one.keep(shares[:1], shares)
    assert one.held == set(shares[:1])
    assert list(SourceLease.objects.values_list("source_id", "share")) == shares[:1]


def test_without_the_database_only_a_host_that_is_alone_holds_on(
    sources: list[Holding], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Leases("one"), Leases("two")
    one.keep(sources, [])
    one._renewed = (one._renewed or 0) - LEASE
    one.lapse()
    assert one.held == set(sources)
    two.keep(sources, [])
    one.keep(sources, sources)
    one.lapse()
    assert one.held, "a moment without the database changes nothing"
    one._renewed = (one._renewed or 0) - LEASE
    one.lapse()
    assert one.held == set()


def test_a_data_folder_has_one_name_and_a_second_supervisor_another(tmp_path: Path) -> None:
    with host_name(tmp_path) as first, host_name(tmp_path) as beside:
        assert beside != first
    with host_name(tmp_path) as again:
        assert again == first


def holder(installation: Installation) -> str:
    found = installation.rows("SELECT holder FROM sources_sourcelease")
    return str(found[0][0]) if found else ""


def test_a_killed_hosts_source_is_collected_by_the_other_within_30_seconds(
    tmp_path: Path, redis_server: Any, postgres: Any
) -> None:
    url = postgres.new_database("leases")
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    one, two = (Installation(folder, redis_server.url, url) for folder in folders)
    # Keys of one installation: the second host decrypts what the first has stored.
    for key in ("secret_key", "credential_key"):
        if (folders[0] / key).exists():
            (folders[1] / key).write_bytes((folders[0] / key).read_bytes())
    source = one.add_source("chat", "redis_pubsub", host="127.0.0.1", port=redis_server.port)
    first = one.collect()
    wait_until(lambda: one.state(source) == "up", seconds=30, what="the source up")
    held = holder(one)
    second = two.collect()
    wait_until(
        lambda: len(two.rows("SELECT name FROM sources_collectorhost")) == 2,
        seconds=20,
        what="two hosts",
    )
    try:
        assert holder(one) == held
        first.kill()
        wait_until(lambda: holder(two) not in ("", held), seconds=30, what="the other holds it")

        def stored() -> bool:
            with redis_server.client() as client:
                client.publish("chat.kitchen", b"after")
            return two.events() > 0

        wait_until(stored, seconds=20, what="an event collected by the other host")
    finally:
        second.stop()
        first.kill()
