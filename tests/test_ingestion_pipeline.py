"""The order of the pipeline: commit, then settle, then announce, whatever fails in between."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from eventhub.brokers.contract import Consumer, Delivery, Message, Received
from eventhub.brokers.errors import NotConnected
from eventhub.events.event import Flag
from eventhub.ingestion.normalise import to_event
from eventhub.ingestion.pipeline import Stopped
from tests.pipelines import SOURCE, Setting
from tests.stores import events_database


@pytest.fixture(params=[True, False], ids=["with positions", "without positions"])
def setting(
    request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any
) -> Iterator[Setting]:
    file = {**settings.DATABASES["default"], "NAME": tmp_path / "events.sqlite3"}
    with django_db_blocker.unblock(), events_database(f"pipeline-{tmp_path.name}", **file) as alias:
        yield Setting(alias, positions=request.param)


class SettleFails:
    """A consumer whose connection is lost just when it should settle."""

    def __init__(self, inner: Consumer, heard: bool) -> None:
        self._inner = inner
        self._heard = heard

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._inner, name)
        return method

    def settle(self, received: Received) -> None:
        if self._heard:
            self._inner.settle(received)
        raise NotConnected("The connection was lost.")


def test_events_keep_the_order_in_which_they_came(setting: Setting) -> None:
    setting.publish(*(b"%d" % n for n in range(50)))
    assert setting.step() == 50
    assert setting.payloads() == [b"%d" % n for n in range(50)]
    assert [event.payload for event in setting.announced.events] == setting.payloads()


@pytest.mark.parametrize("heard", [True, False], ids=["broker heard", "broker did not hear"])
def test_a_connection_lost_while_settling_stores_and_announces_once(
    setting: Setting, heard: bool
) -> None:
    setting.publish(b"1", b"twin", b"twin")
    setting.consumer = SettleFails(setting.consumer, heard)
    with pytest.raises(NotConnected):
        setting.step()
    assert len(setting.announced.events) == 3
    setting.connect()
    setting.publish(b"2")
    while setting.step():
        pass
    assert setting.payloads() == [b"1", b"twin", b"twin", b"2"]
    assert [event.payload for event in setting.announced.events] == setting.payloads()


@pytest.mark.parametrize("heard", [True, False], ids=["broker heard", "broker did not hear"])
def test_a_collector_killed_before_it_settled_stores_once(setting: Setting, heard: bool) -> None:
    setting.publish(b"1", b"twin", b"twin")
    setting.consumer = SettleFails(setting.consumer, heard)
    with pytest.raises(NotConnected):
        setting.step()
    setting.start()
    setting.publish(b"2")
    while setting.step():
        pass
    assert setting.payloads() == [b"1", b"twin", b"twin", b"2"]


@pytest.mark.parametrize("setting", [False], indirect=True)
def test_a_redelivery_is_counted_where_the_broker_has_no_positions(setting: Setting) -> None:
    setting.publish(b"1", b"2")
    setting.consumer = SettleFails(setting.consumer, heard=False)
    with pytest.raises(NotConnected):
        setting.step()
    setting.start()
    setting.step()
    assert [event.redeliveries for event in setting.stored()] == [1, 1]


def test_nothing_is_settled_before_the_store_has_committed(setting: Setting) -> None:
    setting.publish(b"1")
    setting.store.fails = 1
    group = setting.broker.settled["test.shop"]
    before = dict(group)
    settled_when_away: list[dict[str, int]] = []
    setting.on_wait = lambda: settled_when_away.append(dict(group))
    setting.step()
    assert settled_when_away == [before]
    assert group != before
    assert setting.said == ["the disk is full", ""]


def test_a_commit_that_was_not_heard_of_is_not_repeated(setting: Setting) -> None:
    setting.publish(b"1", b"2")
    setting.store.commits_unheard = 1
    setting.step()
    assert setting.payloads() == [b"1", b"2"]
    assert [event.redeliveries for event in setting.stored()] == [0, 0]


def test_a_stop_while_the_store_is_away_leaves_the_batch_with_the_broker(setting: Setting) -> None:
    setting.publish(b"1")
    setting.store.fails = 10**6
    setting.stopping = True
    with pytest.raises(Stopped):
        setting.step()
    setting.store.fails, setting.stopping = 0, False
    setting.start()
    setting.step()
    assert setting.payloads() == [b"1"]


def test_hostile_messages_are_stored_and_none_stops_the_batch(setting: Setting) -> None:
    hostile = [
        b"",
        b"\xff\xfe\x00",
        b'{"a": 1, "a": 2, "n": 1e999999}',
        b"[" * 10_000 + b"]" * 10_000,
        b"x" * 5_000_000,
    ]
    setting.start(limit=8_000_000)
    setting.publish(*hostile)
    setting.broker.append(
        "orders",
        Message(
            b"odd",
            key=b"k" * 10_000 + b"\x00\xff",
            type="T" * 1_000_000 + "\0\ud800",
            headers=[("bytes", b"\x00\xff"), ("table", {"list": [1, None, {"deep": 2.5}]})],
        ),
    )
    assert setting.step() == 6
    *plain, odd = [setting.reader.get(event.id) for event in setting.stored()]
    assert [event.payload for event in plain if event] == hostile
    assert odd is not None
    assert odd.type is not None
    assert odd.type.startswith("TTT")
    assert len(odd.type) >= 1_000_000
    assert odd.key == "k" * 10_000 + "\\x00\\xff"
    assert odd.header_list == [
        ("bytes", b"\x00\xff"),
        ("table", {"list": [1, None, {"deep": 2.5}]}),
    ]


def test_a_payload_over_the_limit_is_cut_and_says_so(setting: Setting) -> None:
    setting.start(limit=4)
    setting.publish("dré€".encode(), b"\xff12345", b"1234")
    setting.step()
    cut, binary, whole = setting.stored()
    assert (cut.payload, cut.payload_size) == ("dré".encode(), 7)
    assert cut.flags == Flag.TRUNCATED
    assert binary.flags == Flag.TRUNCATED | Flag.BINARY
    assert whole.flags == 0


@pytest.mark.parametrize(
    ("payload", "own", "expected"),
    [
        (b'{"data": {"kind": "OrderPlaced"}}', None, "OrderPlaced"),
        (b'{"data": {"kind": 7}}', None, "7"),
        (b'{"data": {"kind": "OrderPlaced"}}', "told", "told"),
        (b'{"data": {"kind": ["no", "text"]}}', None, None),
        (b'{"data": "no table"}', None, None),
        (b"[" * 10_000, None, None),
        (b"\xff", None, None),
        (b"", None, None),
    ],
)
def test_the_type_is_found_where_a_person_said(
    payload: bytes, own: str | None, expected: str | None
) -> None:
    delivery = Delivery("orders", payload, type=own)
    assert to_event(delivery, bytes(16), SOURCE, 1_000, ("data", "kind")).type == expected
    assert to_event(delivery, bytes(16), SOURCE, 1_000).type == own
