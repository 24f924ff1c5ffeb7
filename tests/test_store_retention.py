"""The periodic task that applies each source's retention."""

from collections.abc import Iterator
from typing import Any

import pytest

from eventhub.ingestion.tasks import apply_retention
from eventhub.sources.models import Source
from eventhub.store.contract import Batch
from tests.contracts.event_store import DAY, events_of, kept, now
from tests.test_store_sqlite import SqliteRig, sqlite_rig

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[SqliteRig]:
    with sqlite_rig(tmp_path_factory.mktemp("store"), django_db_blocker) as rig:
        yield rig


@pytest.fixture(autouse=True)
def _its_store(store: SqliteRig, settings: Any) -> None:
    settings.EVENTS_DATABASE = store.alias


def source(name: str, **fields: Any) -> int:
    made: int = Source.objects.create(name=name, kind="memory", **fields).pk
    return made


def test_each_source_has_its_own_age_and_size(store: SqliteRig) -> None:
    day, month = source("day", retention_days=1), source("month", retention_days=30)
    small = source("small", retention_bytes=1024**2)
    writer = store.writer()
    for source_id in (day, month):
        writer.write(Batch(source_id, events_of(source_id, 700, at=now() - 2 * DAY)))
        writer.write(Batch(source_id, events_of(source_id, 5)))
    for _ in range(3):
        writer.write(Batch(small, events_of(small, 500, payload=b"x" * 1024)))
    apply_retention()
    assert len(kept(store, day)) == 5
    assert len(kept(store, month)) == 705
    assert len(kept(store, small)) == 1024


def test_what_a_deleted_source_left_is_forgotten(store: SqliteRig) -> None:
    gone, deleted = source("gone"), source("deleted", desired=Source.Desired.DELETED)
    stays = source("stays")
    for source_id in (gone, deleted, stays):
        store.writer().write(Batch(source_id, events_of(source_id, 1_200)))
    Source.objects.get(pk=gone).delete()
    apply_retention()
    assert kept(store, gone, deleted) == []
    assert store.retention.sources() & {gone, deleted, stays} == {stays}
    assert len(kept(store, stays)) == 1_200


def test_it_waits_for_a_store_that_is_away(
    store: SqliteRig, caplog: pytest.LogCaptureFixture
) -> None:
    source_id = source("away", retention_days=1)
    store.writer().write(Batch(source_id, events_of(source_id, 5, at=now() - 2 * DAY)))
    with store.away():
        apply_retention()
    assert "write_events" in caplog.text
    apply_retention()
    assert kept(store, source_id) == []
