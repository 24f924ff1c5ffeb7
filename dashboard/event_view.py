"""One event as its page and its pane show it."""

import json
from typing import Final
from urllib.parse import urlencode

import msgspec
from django.http import QueryDict

from dashboard.payload_view import PayloadView, payload_view
from eventhub.brokers.contract import Mode
from eventhub.brokers.errors import BrokerError
from eventhub.events.event import Event, Flag
from eventhub.events.headers import HeaderValue, header_text
from eventhub.events.identity import parse_id
from eventhub.events.payload import PayloadKind, classify
from eventhub.query.to_text import to_text
from eventhub.query.tree import Match
from eventhub.sources.models import Source
from eventhub.store.contract import EventReader

__all__ = ["EventView", "find_event", "visible_sources"]

_LONGEST_QUERY: Final = 500


class Moment(msgspec.Struct, frozen=True):
    """One of the three times, with its distance from the first of them that is known."""

    name: str
    time: int | None
    offset: int | None


class EventView(msgspec.Struct, frozen=True):
    event: Event
    source: Source
    mode: Mode | None
    """None when the kind's adapter is not there."""
    payload: PayloadView
    kind: PayloadKind
    headers: list[tuple[str, str, str]]
    """(name, type, text)"""
    moments: list[Moment]
    before: str | None
    after: str | None
    """Ids of the neighbours in its source and destination."""
    colour: int

    @property
    def truncated(self) -> bool:
        return bool(self.event.flags & Flag.TRUNCATED)

    @property
    def redelivered(self) -> bool:
        return bool(self.event.flags & Flag.REDELIVERED)

    @property
    def clock_is_off(self) -> bool:
        """The producer's time is more than a second after we saw the event."""
        return self.event.event_time is not None and self.event.event_time > self.event.time + 1000

    def same(self, field: str, value: str | None) -> str:
        """Address parameters of a search for events with this value; empty if none can hold it."""
        if not value or len(value) > _LONGEST_QUERY:
            return ""
        return urlencode({"q": to_text(Match((field,), value)), "window": "7d"})

    @property
    def same_correlation(self) -> str:
        return self.same("correlation", self.event.correlation_id)

    @property
    def same_key(self) -> str:
        return self.same("key", self.event.key)

    @property
    def same_destination(self) -> str:
        return self.same("destination", self.event.destination)


def visible_sources() -> dict[int, str]:
    """Id and name of every source whose events a signed-in person may see: all there are, also
    one that is being removed, as long as its events are kept."""
    return dict(Source.objects.values_list("pk", "name"))


def find_event(reader: EventReader, event_id: str, parameters: QueryDict) -> EventView | None:
    """None for what is no id, is not kept (any more), or belongs to no source."""
    try:
        event = reader.get(parse_id(event_id))
    except ValueError:
        return None
    if event is None:
        return None
    source = Source.objects.filter(pk=event.source_id).first()
    if source is None:
        return None
    before, after = reader.neighbours(event)
    kind = classify(event.payload, event.content_type)
    colour = parameters.get("colour", "")
    return EventView(
        event=event,
        source=source,
        mode=_mode(source),
        payload=payload_view(event, kind, parameters),
        kind=kind,
        headers=[(name, _type_of(value), _text_of(value)) for name, value in event.header_list],
        moments=_moments(event),
        before=_written(before),
        after=_written(after),
        colour=int(colour) if colour in tuple("123456") else 0,
    )


def _written(event_id: bytes | None) -> str | None:
    return None if event_id is None else event_id.hex()


def _mode(source: Source) -> Mode | None:
    try:
        return source.mode
    except (BrokerError, ImportError):
        return None


def _moments(event: Event) -> list[Moment]:
    times = [
        ("Producer", event.event_time),
        ("Broker", event.broker_time),
        ("Observed", event.time),
    ]
    first = next(time for _, time in times if time is not None)
    return [
        Moment(name, time, None if time is None or time is first else time - first)
        for name, time in times
    ]


def _type_of(value: HeaderValue) -> str:
    names = {"str": "text", "int": "integer", "bool": "yes/no", "NoneType": "nothing"} | {
        "dict": "table", "datetime": "time",
    }  # fmt: skip
    name = type(value).__name__
    return names.get(name, name)


def _text_of(value: HeaderValue) -> str:
    """A table or list as indented JSON, its bytes and times as their texts."""
    if isinstance(value, list | dict):
        return json.dumps(value, indent=2, ensure_ascii=False, default=header_text)
    return header_text(value)
