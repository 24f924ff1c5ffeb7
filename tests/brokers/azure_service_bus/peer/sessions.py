"""Links that wait for a session: answered when one is free, refused when their time is over.

The filter `com.microsoft:session-filter` of a link's source names a session, or is null for the
next one that is free and has messages; the answer's filter names the session that was accepted,
and its property `com.microsoft:locked-until-utc` says how long. See the AMQP protocol guide and
https://learn.microsoft.com/azure/service-bus-messaging/message-sessions.
"""

from dataclasses import dataclass
from typing import Any

from proton import Terminus, symbol

from tests.brokers.azure_service_bus.peer.queues import Queue, SessionLock

__all__ = ["Acceptor", "asks_for_session"]

_FILTER = symbol("com.microsoft:session-filter")
_TIMEOUT = symbol("com.microsoft:timeout")
_LOCKED_UNTIL = symbol("com.microsoft:locked-until-utc")
_DEFAULT_MILLISECONDS = 65_000
_TICKS_TO_1970 = 621_355_968_000_000_000


def _filters(link: Any) -> dict[str, Any]:
    data = link.remote_source.filter
    data.rewind()
    return (data.get_object() or {}) if data.next() else {}


def asks_for_session(link: Any, *, by_name: bool = False) -> bool:
    found = _filters(link)
    return _FILTER in found and (not by_name or found[_FILTER] is not None)


@dataclass
class _Wish:
    queue: Queue
    session: str | None
    """None: the next one that is free."""
    until: int


class Acceptor:
    def __init__(self) -> None:
        self._wishes: dict[Any, _Wish] = {}

    def add(self, link: Any, queue: Queue, now: int) -> None:
        """Its answer is given by `answer`."""
        timeout = (link.remote_properties or {}).get(_TIMEOUT, _DEFAULT_MILLISECONDS)
        self._wishes[link] = _Wish(queue, _filters(link)[_FILTER], now + timeout)

    def remove(self, link: Any) -> None:
        self._wishes.pop(link, None)

    def links(self) -> list[Any]:
        return list(self._wishes)

    def answer(self, now: int) -> list[tuple[Any, Queue, SessionLock | None]]:
        """Opens the links whose wish is fulfilled, and with no source those that waited for too
        long or whose session is another's: of those the last is None."""
        answered: list[tuple[Any, Queue, SessionLock | None]] = []
        for link, wish in list(self._wishes.items()):
            lock = wish.queue.accept(now, wish.session)
            if lock is None and wish.session is None and now < wish.until:
                continue
            del self._wishes[link]
            if lock is None:
                link.source.type = Terminus.UNSPECIFIED
            else:
                _confirm(link, lock)
            link.open()
            answered.append((link, wish.queue, lock))
        return answered


def _confirm(link: Any, lock: SessionLock) -> None:
    link.source.copy(link.remote_source)
    link.source.filter.clear()
    link.source.filter.put_object({_FILTER: lock.id})
    link.properties = {_LOCKED_UNTIL: lock.locked_until * 10_000 + _TICKS_TO_1970}
