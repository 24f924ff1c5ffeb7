"""Receiving from an entity with sessions: a link for each session that is held.

A link whose session filter is null is answered once a session with messages is free, with the
session's id and the end of its lock, or refused after a time that the link's properties name. The
session's lock covers all its messages, and ends with the link:
https://learn.microsoft.com/azure/service-bus-messaging/message-sessions. The SDK opens a
connection for each session and waits in it; here all sessions of an entity share one connection.
"""

import time
from collections import deque
from functools import partial
from typing import Any, Final

from azure.servicebus._pyamqp.constants import LinkState, ReceiverSettleMode, SenderSettleMode
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport

from collectors.azure_service_bus.access import Access
from collectors.azure_service_bus.entities import Entity
from collectors.azure_service_bus.reader import Reader
from collectors.azure_service_bus.sdk import SECONDS, without_links
from eventhub.brokers.errors import NotConnected

__all__ = ["SessionReader"]

_AT_ONCE: Final = 8
"""Sessions held. What is held is kept from the other consumers of the entity."""
_ACCEPT_SECONDS: Final = 5.0
"""So long does the broker look for a session before it refuses, and is asked again."""
_ANSWER_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 0.1
"""The same for a session that has brought something, while others may wait for its place."""
_TURN_SECONDS: Final = 30.0
"""After which a session that never falls idle makes room for others."""
_FILTER: Final = b"com.microsoft:session-filter"
_LOCKED_UNTIL: Final = b"com.microsoft:locked-until-utc"
_TIMEOUT: Final = b"com.microsoft:timeout"
_TICKS_TO_1970: Final = 621_355_968_000_000_000
"""Of 100 ns since the year 1, in which .NET counts."""
_COME_AGAIN: Final = (
    _TIMEOUT,
    b"com.microsoft:session-lock-lost",
    b"com.microsoft:session-cannot-be-locked",
    b"amqp:link:detach-forced",
)
"""Why a session's link may end without anything being wrong."""
_LOST: Final = {"settled": True, "outcome": {"rejected": [[_COME_AGAIN[1], None, None]]}}


class _Session:
    """A link that waits for a session, holds one, or is leaving it."""

    def __init__(self, link: Any) -> None:
        self.link = link
        self.id: str | None = None
        """None until it is accepted."""
        self.since = self.last = time.monotonic()
        """When it was asked for or accepted; when something came last."""
        self.brought = False
        self.retires = False
        """Whether it has been held for so long that others should have their turn."""
        self.renew_at = 0.0

    def attached(self, frame: Any) -> None:
        found = (frame.source.filters or {}).get(_FILTER) if frame.source else None
        if found is None:
            return  # refused: the reason comes with the detach
        self.id = found.decode() if isinstance(found, bytes) else str(found)
        self.since = self.last = time.monotonic()
        ticks = (frame.properties or {}).get(_LOCKED_UNTIL, 0)
        self.keep_until((ticks - _TICKS_TO_1970) / 10_000_000)

    def keep_until(self, moment: float) -> None:
        """`moment`: when the lock ends, in seconds since 1970."""
        self.renew_at = time.monotonic() + max((moment - time.time()) / 2, 0.5)

    @property
    def is_held(self) -> bool:
        return self.id is not None and not self.link._is_closed

    @property
    def is_over(self) -> bool:
        """Whether the broker has said its last word on the link."""
        closed = self.link.state is LinkState.DETACHED and self.link._is_closed
        return bool(self.link._error is not None or closed)


class SessionReader(Reader):
    """See `Reader`. At most `_AT_ONCE` sessions; those that fall idle are released."""

    def __init__(self, access: Access, entity: Entity, prefetch: int) -> None:
        super().__init__(without_links(access, entity.path), entity, prefetch)
        self._address = f"amqps://{access.namespace}/{entity.path}"
        self._sessions: list[_Session] = []
        self._ask_at = 0.0

    @property
    def patience(self) -> float:
        return _QUIET_SECONDS if len(self._held_sessions) >= _AT_ONCE else _IDLE_SECONDS

    def renew(self) -> None:
        for session in self._held_sessions:
            if time.monotonic() >= session.renew_at:
                self._call(partial(self._renew, session))

    def _renew(self, session: _Session) -> None:
        until = self._sdk._mgmt_request_response_with_retry(
            b"com.microsoft:renew-session-lock",
            {"session-id": session.id},
            _expiration,
            keep_alive_associated_link=False,
            timeout=SECONDS,
        )
        if until is None:  # lost: the broker ends the link, and what it held comes again
            session.link.detach(close=True)
            self._forget(session)
        else:
            session.keep_until(until / 1000)

    @property
    def _held_sessions(self) -> list[_Session]:
        return [session for session in self._sessions if session.is_held]

    def pump(self, most: int = 0) -> None:
        super().pump(most)
        if not self.readable:  # else what still has to be read may be of a session that seems idle
            self._call(self._leave_idle)

    def _ask(self) -> None:
        self._check_links()
        held = self._held_sessions
        crowded, now = len(held) >= _AT_ONCE, time.monotonic()
        for session in held:
            session.retires = crowded and now - session.since > _TURN_SECONDS
            if not session.retires:
                self._grant(session.link)
        asked = [each for each in self._sessions if each.id is None]
        overtime = now - asked[0].since > _ACCEPT_SECONDS + _ANSWER_SECONDS if asked else False
        if overtime and not self.readable:
            raise NotConnected("Service Bus does not answer whether there is a session.")
        if not asked and not crowded and now >= self._ask_at:
            self._sessions.append(self._next_session())

    def _leave_idle(self) -> None:
        held = self._held_sessions
        crowded, now = len(held) >= _AT_ONCE, time.monotonic()
        busy = {id(each.link) for each in self.held.values()}
        for session in held:
            idle = now - session.last
            quiet = idle > _IDLE_SECONDS or (crowded and session.brought and idle > _QUIET_SECONDS)
            if (quiet or session.retires) and id(session.link) not in busy:
                session.link.detach(close=True)

    def _next_session(self) -> _Session:
        made: list[_Session] = []
        link = self._sdk._handler._session.create_receiver_link(
            source_address=PyamqpTransport.create_source(self._address, None),  # type: ignore[arg-type]
            link_credit=self._prefetch,  # granted as soon as the link is there
            send_settle_mode=SenderSettleMode.Unsettled,
            rcv_settle_mode=ReceiverSettleMode.Second,
            on_transfer=lambda frame, message: self._came(made[0], frame, message),
            on_attach=lambda frame: made[0].attached(frame),
            properties={_TIMEOUT: PyamqpTransport.AMQP_UINT_VALUE(int(_ACCEPT_SECONDS * 1000))},
        )
        made.append(_Session(link))
        link.attach()
        return made[0]

    def _came(self, session: _Session, frame: Any, message: Any) -> None:
        if not session.is_held:
            return  # it crossed our leaving: the broker keeps it for whoever comes next
        session.last = time.monotonic()
        session.brought = True
        self._arrived(session.link, frame, message)
        if not session.retires:
            self._grant(session.link)

    def _check_links(self) -> None:
        for session in [each for each in self._sessions if each.is_over]:
            self._sessions.remove(session)
            self._forget(session)
            self._free(session.link)
            error = session.link._error
            if session.id is None:
                self._ask_at = session.since + _ACCEPT_SECONDS
            if error is not None and error.condition not in _COME_AGAIN:
                raise error

    def _forget(self, session: _Session) -> None:
        """Its messages come again, in their order, whoever accepts it next."""
        link = session.link
        for told in link._pending_dispositions.values():
            told.update(_LOST)
        self.held = {n: each for n, each in self.held.items() if each.link is not link}
        self.waiting = deque(each for each in self.waiting if each.link is not link)

    def _free(self, link: Any) -> None:
        """The SDK never gives a link's handles back, and looks through all of them each time."""
        if not link._is_closed:
            link._outgoing_detach(close=True)
        of = self._sdk._handler._session
        of.links.pop(link.name, None)
        of._output_handles.pop(link.handle, None)
        if of._input_handles.get(link.remote_handle) is link:  # else the broker has reused it
            del of._input_handles[link.remote_handle]

    def _give_back(self) -> None:
        """Leaving a session frees its messages, and counts no delivery of them."""
        for session in self._sessions:
            session.link.detach(close=True)
        self._sessions.clear()


def _expiration(status: int, message: Any, *_: Any, **__: Any) -> int | None:
    """Milliseconds since 1970 at which the lock ends now; None where it is lost."""
    if status == 200:
        until: int = message.value[b"expiration"]
        return until
    return None
