"""Sources and events for tests of pages, written as collectors write them."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from eventhub.accounts.roles import Role, give_role
from eventhub.brokers.contract import Gap
from eventhub.events.event import Event
from eventhub.events.identity import EventIds
from eventhub.sources.models import CollectorStatus, Source
from eventhub.store.contract import Batch
from eventhub.store.relational.sqlite.writer import SqliteWriter

__all__ = ["HOSTILE", "event", "now", "sign_in", "source", "store"]

_ids = EventIds()

HOSTILE: list[dict[str, Any]] = [
    {"payload": b"\x00\xff\xfe not text", "type": "T" * 1_000_000, "key": "K" * 10_000, "flags": 4},
    {
        "payload": b'{"a":"<script>document.title = 1</script><img src=x onerror=alert(1)>"}',
        "type": "<b>bold</b>",
        "key": '"><svg onload=alert(1)>',
    },
    {"payload": '{"text":"\u202eevil שלום"}'.encode(), "type": "\u202egnp.exe", "key": "مرحبا"},
    {"payload": b"[" * 10_000 + b"]" * 10_000, "type": "Deep"},
    {"payload": b'{"a":1,"a":2,"n":' + b"9" * 400 + b"e400}", "type": "Duplicate"},
    {"payload": b"", "type": None},
    {"payload": b'{"cut":"he', "payload_size": 9_000_000, "type": "Cut", "flags": 2},
    {"payload": b"1", "type": "Clock", "event_time": 10**17, "broker_time": 5},
    {"payload": b"word " * 3000, "destination": "long" * 500},
    {"payload": b"\x1b[31mred\x1b[0m\r\n\ttab", "type": "Controls"},
]


def now() -> int:
    return time.time_ns() // 1_000_000


def source(name: str = "shop", state: str | None = "up", **values: Any) -> Source:
    """A source with its collector's status; without one for `state` None."""
    told = {key: values.pop(key) for key in ("reason", "way_out", "heartbeat") if key in values}
    made = Source.objects.create(
        **{
            "name": name,
            "kind": "redis_pubsub",
            "desired": Source.Desired.RUNNING,
            "created": timezone.now() - timedelta(days=9),
            **values,
        }
    )
    if state is not None:
        CollectorStatus.objects.create(
            source=made, state=state, stored_within=12, **{"heartbeat": timezone.now(), **told}
        )
    return made


def event(of: Source, at: int | None = None, **fields: Any) -> Event:
    """Observed at `at`, in milliseconds; now if it is not given."""
    assert of.pk is not None
    payload = fields.pop("payload", b'{"order": 4711, "reason": "card declined"}')
    (event_id,) = EventIds().take(1, at) if at is not None else _ids.take(1, now())
    given = {"destination": "orders", "type": "OrderPlaced", "payload_size": len(payload), **fields}
    return Event(id=event_id, source_id=of.pk, payload=payload, **given)


def store(of: Source, events: Sequence[Event] = (), gaps: Sequence[Gap] = ()) -> None:
    """Commits by the code of the writing process, in this one."""
    assert of.pk is not None
    writer = SqliteWriter(settings.EVENTS_DATABASE)
    writer.write(Batch(source_id=of.pk, events=list(events), gaps=list(gaps)))


def sign_in(client: Client, role: Role = Role.VIEWER) -> Client:
    user = User.objects.create_user(role.group)
    give_role(user, role)
    client.force_login(user)
    return client
