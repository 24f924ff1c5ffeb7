"""One filter of the live view, compiled once for all the pages that share it."""

from collections.abc import Callable, Mapping

from eventhub.events.event import Event, Flag
from eventhub.live.screen import Screen, match
from eventhub.query.parse import parse
from eventhub.query.predicate import needs_payload, predicate

__all__ = ["Filter", "Viewer", "is_cut"]


class Viewer:
    """One page: its screen, and what it was brought from the store and shall not get again."""

    def __init__(self, screen: Screen, since: int) -> None:
        self.screen = screen
        self.since = since
        """Where the page began or went on (ms): what was observed before is not counted as new."""
        self.delivered: set[bytes] = set()


class Filter:
    """Raises QueryError for a text that is no query."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.node = parse(text)
        self.needs_payload = needs_payload(self.node)
        self.viewers: set[Viewer] = set()
        self._names_a_moment = "now" in text.lower()
        self._sources: Mapping[int, str] | None = None
        self._matches: Callable[[Event], bool]

    def select(self, events: list[Event], sources: Mapping[int, str], now: int) -> list[Event]:
        """The events that match. `sources` is replaced, not changed, when a name changes."""
        if not events:
            return []
        if sources is not self._sources or self._names_a_moment:
            # A collector's clock may be ahead of ours, and `TO now` shall include its events.
            latest = max(now, events[-1].time)
            self._matches = predicate(self.node, sources=sources, now=latest)
            self._sources = sources
        matches = self._matches
        return [event for event in events if matches(event)]

    def show(self, events: list[Event], source: str) -> None:
        """Put events of one source that match on every screen, save where they are already."""
        if not events:
            return
        for_all = match(events, source)
        for viewer in self.viewers:
            if viewer.delivered.isdisjoint(for_all.ids):
                viewer.screen.add(for_all)
            else:
                new = [event for event in events if event.id not in viewer.delivered]
                viewer.screen.add(match(new, source))


def is_cut(event: Event) -> bool:
    """Whether the frame carries only the beginning of a payload that the store has whole."""
    return len(event.payload) < event.payload_size and not event.flags & Flag.TRUNCATED
