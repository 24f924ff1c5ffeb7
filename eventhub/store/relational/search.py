"""Walking back through the window of a search, slice by slice, until enough is found.

A slice is a span of ids in which one short statement looks. How many events the next one spans
follows from how long the last took, so that none holds a transaction for long and the search can
say at any time how far back it has looked.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Final, NamedTuple

from eventhub.events.event import Event
from eventhub.events.identity import first_id, time_of
from eventhub.query.fields import COLUMNS as COLUMN_OF
from eventhub.query.predicate import predicate
from eventhub.query.tree import And, Compare, Match, Node, Range
from eventhub.query.values import time_bounds
from eventhub.store.contract import Page, StoreUnavailable, Window
from eventhub.store.relational.compiler import ALWAYS, NEVER, Compiler, Condition, both
from eventhub.store.relational.database import COLUMNS, Database, TooSlow, placeholders
from eventhub.store.relational.days import day_of, first_id_of_day

__all__ = ["Search"]

_FIRST_SLICE: Final = 500
_LEAST_SLICE: Final = 20
_LARGEST_SLICE: Final = 100_000
_QUICK: Final = 0.05
_SLOW: Final = 0.25
"""Seconds that a slice takes, below which the next is larger and above which it is smaller."""
_FEW: Final = 2_000
"""If an index knows no more events of a value than this, only these are looked at. If it knows
more, they are so frequent that walking back in time meets them soon."""
_AHEAD: Final = 1_000
"""Ids that an ordered index is asked for at a time."""
_FETCHED_TOGETHER: Final = 200
_PAGE_BYTES: Final = 32 * 1024**2
"""Payload bytes after which a page ends early."""
_PATIENCE: Final = 10.0
"""Seconds that the first slice may take at most, so that each call comes farther back."""

_LOOKUPS: Final = ("id", "message_id", "correlation", "key")
"""Fields with so many values that all events of one can be asked for, the rarest first."""
_ORDERED: Final = ("type", "destination")
"""Fields whose index gives the events of one value newest first."""


class Slice(NamedTuple):
    low: bytes
    """Looks at ids from here up to the cursor."""
    scanned: int
    last: bool
    condition: Condition = ALWAYS


class Search:
    """One query in one window.

    It walks over all events of the sources; or, where the query asks for one value of an indexed
    field, only over the ids that the index gives. It asks for these by whole days and cuts them
    to the window itself: PostgreSQL, whose statistics do not yet know the newest ids, expects a
    single event in the last hour, and would read the hour instead of the index.
    """

    def __init__(
        self, database: Database, query: Node, window: Window, sources: dict[int, str], now: int
    ) -> None:
        self._db = database
        self._compiler = Compiler(database, sources, now)
        self._judge = predicate(query, sources=sources, now=now)
        self._condition = self._compiler.condition(query)
        conjuncts = query.parts if isinstance(query, And) else (query,)
        self._window = _narrow(window, conjuncts, now)
        self._start = first_id(self._window.start)
        self._sources = self._compiler.sources_of_all(conjuncts)
        self._matches = {part.field[0]: part for part in conjuncts if isinstance(part, Match)}
        self._ids: list[bytes] | None = None
        """The next ids to look at, newest first; None: every event."""
        self._no_more_ids = False
        self._step = _FIRST_SLICE

    def page(self, before: bytes | None, limit: int, seconds: float) -> Page:
        deadline = time.monotonic() + seconds
        patience = max(_PATIENCE, seconds)
        end = first_id(max(self._window.end, 0))
        cursor = min(before, end) if before else end
        found: list[Event] = []
        scanned = size = 0
        if not self._sources or cursor <= self._start or self._condition is NEVER:
            return Page(found, None, self._window.start, scanned)
        self._look_up(cursor, patience)
        while True:
            began = time.monotonic()
            try:
                span = self._walk(cursor) if self._ids is None else self._next_ids(cursor)
                with closing(self._rows(span, cursor, limit - len(found), patience)) as rows:
                    for event in rows:
                        if self._judge(event):
                            found.append(event)
                            size += len(event.payload)
                        full = len(found) >= limit or size > _PAGE_BYTES
                        if full or time.monotonic() > deadline:
                            return Page(found, event.id, event.time, scanned + span.scanned)
                        cursor = event.id
            except TooSlow:
                self._shrink()
                continue
            scanned += span.scanned
            if span.last:
                return Page(found, None, self._window.start, scanned)
            cursor = span.low
            if time.monotonic() > deadline:
                return Page(found, cursor, time_of(cursor), scanned)
            self._adapt(time.monotonic() - began)

    def _rows(
        self, span: Slice, cursor: bytes, wanted: int, seconds: float
    ) -> Generator[Event, None, None]:
        """The events of a slice, newest first, that SQL lets through."""
        condition = both(self._within(span.low, cursor), span.condition, self._condition)
        sql = (
            f"SELECT {COLUMNS} FROM {self._db.events(self._index)}"
            f" WHERE {condition.sql} ORDER BY id DESC"
        )
        parameters = condition.parameters
        if condition.exact:
            # What is sent beyond the end of the page is read in vain.
            sql, parameters = f"{sql} LIMIT %s", (*parameters, wanted)
        for row in self._db.stream(sql, parameters, seconds=seconds):
            yield Event(*row)

    def _walk(self, cursor: bytes) -> Slice:
        """The slice below the cursor that spans so many events."""
        within = self._within(self._start, cursor)
        source = f"FROM {self._db.events(self._index)} WHERE {within.sql}"
        floor = self._db.rows(
            f"SELECT id {source} ORDER BY id DESC LIMIT 1 OFFSET %s",
            [*within.parameters, self._step - 1],
        )
        if floor:
            return Slice(floor[0][0], self._step, last=False)
        counted = self._db.rows(
            f"SELECT count(*) FROM (SELECT 1 {source} LIMIT %s) AS slice",
            [*within.parameters, self._step],
        )
        return Slice(self._start, counted[0][0], last=True)

    def _next_ids(self, cursor: bytes) -> Slice:
        assert self._ids is not None
        left = [event_id for event_id in self._ids if event_id < cursor]
        if not left and not self._no_more_ids:
            left = self._ids = self._ids_below(cursor)
        chosen = left[:_FETCHED_TOGETHER]
        last = self._no_more_ids and len(chosen) == len(left)
        ids = tuple(self._db.id(event_id) for event_id in chosen)
        condition = Condition(f"id IN {placeholders(ids)}", ids)
        return Slice(self._start if last else chosen[-1], len(ids), last, condition)

    def _look_up(self, cursor: bytes, seconds: float) -> None:
        """Decide by which index to search: the one that knows the fewest events."""
        for name in _LOOKUPS:
            if (asked := self._matches.get(name)) is not None:
                wanted = both(self._days(cursor), self._compiler.condition(asked))
                sql = f"{self._db.lookup(COLUMN_OF.get(name, name))}{wanted.sql} LIMIT %s"
                ids = self._try_ids(sql, (*wanted.parameters, _FEW + 1), seconds)
                if ids is not None and len(ids) <= _FEW:
                    self._no_more_ids = True
                    self._ids = sorted((i for i in ids if i >= self._start), reverse=True)
                    return
        if self._matches.keys() & set(_ORDERED):
            self._ids = []

    def _try_ids(
        self, sql: str, parameters: Sequence[object], seconds: float
    ) -> list[bytes] | None:
        try:
            return [row[0] for row in self._db.stream(sql, parameters, seconds=seconds)]
        except TooSlow:
            return None

    def _ids_below(self, cursor: bytes) -> list[bytes]:
        """The next ids along the index of an ordered field."""
        name = next(name for name in _ORDERED if name in self._matches)
        wanted = both(self._days(cursor), self._compiler.condition(self._matches[name]))
        rows = self._db.rows(
            f"SELECT id FROM {self._db.events(f'events_{name}')} WHERE {wanted.sql}"
            " ORDER BY id DESC LIMIT %s",
            [*wanted.parameters, _AHEAD],
        )
        ids = [row[0] for row in rows if row[0] >= self._start]
        self._no_more_ids = len(ids) < _AHEAD
        return ids

    @property
    def _index(self) -> str:
        alone = len(self._sources) == 1 and self._ids is None
        return "events_source" if alone else "events_id"

    def _days(self, cursor: bytes) -> Condition:
        return self._within(first_id_of_day(day_of(self._start)), cursor)

    def _within(self, low: bytes, cursor: bytes) -> Condition:
        return Condition(
            f"id >= %s AND id < %s AND source_id IN {placeholders(self._sources)}",
            (self._db.id(low), self._db.id(cursor), *self._sources),
        )

    def _shrink(self) -> None:
        if self._step <= _LEAST_SLICE:
            raise StoreUnavailable("The search is too slow: the database is overloaded.")
        self._step = max(_LEAST_SLICE, self._step // 10)

    def _adapt(self, seconds: float) -> None:
        if seconds < _QUICK:
            self._step = min(self._step * 4, _LARGEST_SLICE)
        elif seconds > _SLOW:
            self._step = max(self._step // 2, _LEAST_SLICE)


def _narrow(window: Window, conjuncts: Sequence[Node], now: int) -> Window:
    """The part of the window that conditions on the time leave."""
    start, end = max(window.start, 0), window.end
    for part in conjuncts:
        if isinstance(part, Match | Compare | Range) and part.field == ("time",):
            first, last = time_bounds(part, now)
            start = start if first is None else max(start, first)
            end = end if last is None else min(end, last + 1)
    return Window(start, end)
