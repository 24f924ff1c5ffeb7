"""The AMQP 1.0 side: tokens, links, transfers, settlement and the management requests."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import cproton
from proton import Condition, Delivery, Endpoint, Link, Message, int32, symbol, timestamp
from proton.handlers import EndpointStateHandler, MessagingHandler

from tests.brokers.azure_service_bus.peer.namespace import Namespace, SessionNeeded, now
from tests.brokers.azure_service_bus.peer.queues import Queue, SessionLock
from tests.brokers.azure_service_bus.peer.refusals import Refusal
from tests.brokers.azure_service_bus.peer.sections import unbatch
from tests.brokers.azure_service_bus.peer.sessions import Acceptor, asks_for_session
from tests.brokers.azure_service_bus.peer.tokens import rights

__all__ = ["MAX_MESSAGE_BYTES", "Peer"]

MAX_MESSAGE_BYTES = 6 * 1024 * 1024
_TICK = 0.02


def entity(address: str | None) -> str:
    """The path behind sb://host/ or amqps://host/."""
    text = address or ""
    if "://" in text:
        text = text.split("://", 1)[1].split("/", 1)[1]
    return text.strip("/")


def tag(delivery: Delivery) -> bytes:
    """Proton takes tags for UTF-8; Service Bus's are the bytes of a lock token."""
    raw = cproton.lib.pn_delivery_tag(delivery._impl)
    return bytes(cproton.ffi.buffer(raw.start, raw.size))


class _Endpoints(EndpointStateHandler):
    """Leaves it to the peer when a link is answered: by itself, Proton does so at once."""

    def on_link_remote_open(self, event: Any) -> None:
        if self.is_local_uninitialised(event.link):
            self.on_link_opening(event)


class Peer(MessagingHandler):
    def __init__(self, url: str, namespace: Namespace, lock: threading.Lock) -> None:
        super().__init__(prefetch=0, auto_accept=False, auto_settle=False)
        handlers: Any = self.handlers
        [place] = [n for n, each in enumerate(handlers) if isinstance(each, EndpointStateHandler)]
        handlers[place] = _Endpoints(delegate=self)
        self._url = url
        self._namespace = namespace
        self._lock = lock
        self._rights: dict[str, frozenset[str]] = {}
        self._answers: dict[tuple[str, str], Any] = {}
        self._readers: dict[Any, Queue] = {}
        self._acceptor = Acceptor()
        self._sessions: dict[Any, SessionLock] = {}
        """Of the readers of sessions."""
        self._refused: list[tuple[Any, Condition]] = []
        self._operations: dict[str, Callable[[Queue, Any], tuple[int, Any]]] = {
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:renew-lock": self._renew,
            "com.microsoft:renew-session-lock": self._renew_session,
            "com.microsoft:update-disposition": self._update_disposition,
        }

    def on_start(self, event: Any) -> None:
        event.container.listen(self._url)
        event.container.schedule(_TICK, self)

    def on_timer_task(self, event: Any) -> None:
        with self._lock:
            self._namespace.tick()
            for link, queue in list(self._readers.items()):
                lock = self._sessions.get(link)
                if self._namespace.find(queue.path) is not queue:
                    self._refuse(link, Refusal.NOT_FOUND, queue.path)
                    self._forget(link)
                elif lock is not None and not queue.holds(lock):
                    self._refuse(link, Refusal.SESSION_LOST, lock.id)
                    self._forget(link)
                else:
                    self._deliver(link)
            self._accept_sessions()
        refused, self._refused = self._refused, []
        for link, condition in refused:
            link.condition = condition
            link.close()
        event.container.schedule(_TICK, self)

    # Links

    def on_link_opening(self, event: Any) -> None:
        link = event.link
        link.target.copy(link.remote_target)
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        link.max_message_size = MAX_MESSAGE_BYTES
        address = entity((link.remote_source if link.is_sender else link.remote_target).address)
        with self._lock:
            if link.is_sender and self._waits_for_session(link, address):
                return
            link.source.copy(link.remote_source)
            link.open()
            if address == "$cbs" or address.endswith("/$management"):
                self._open_management(link, address)
            elif link.is_sender:
                self._open_reader(link, address)
            else:
                self._open_writer(link, address)

    def on_link_closing(self, event: Any) -> None:
        """Leaving a session frees its messages; one whose connection was cut stays locked."""
        link = event.link
        with self._lock:
            lock, queue = self._sessions.get(link), self._readers.get(link)
            self._forget(link)
            if lock is not None and queue is not None:
                queue.leave(lock)
                self._accept_sessions()

    def _forget(self, link: Any) -> None:
        self._acceptor.remove(link)
        self._readers.pop(link, None)
        self._sessions.pop(link, None)

    def on_disconnected(self, event: Any) -> None:
        remote = event.connection.remote_container
        self._rights.pop(remote, None)
        for key in [key for key in self._answers if key[0] == remote]:
            del self._answers[key]
        for link in [*self._readers, *self._acceptor.links()]:
            if link.connection == event.connection:
                self._forget(link)

    def _open_management(self, link: Any, address: str) -> None:
        if address != "$cbs" and not self._may(link, "Listen"):
            self._refuse(link, Refusal.UNAUTHORIZED, "Listen")
        elif address != "$cbs" and self._namespace.find(address[: -len("/$management")]) is None:
            self._refuse(link, Refusal.NOT_FOUND, address)
        elif link.is_sender:
            self._answers[link.connection.remote_container, address] = link
        else:
            link.flow(100)

    def _open_reader(self, link: Any, address: str) -> None:
        queue = self._namespace.find(address)
        if queue is None:
            self._refuse(link, Refusal.NOT_FOUND, address)
        elif not self._may(link, "Listen"):
            self._refuse(link, Refusal.UNAUTHORIZED, "Listen")
        elif queue.settings.requires_session:
            self._refuse(link, Refusal.SESSION_REQUIRED, address)
        elif asks_for_session(link):
            self._refuse(link, Refusal.NO_SESSIONS, address)
        else:
            self._readers[link] = queue

    def _waits_for_session(self, link: Any, address: str) -> bool:
        """Whether it is answered only once there is a session for it."""
        queue = self._namespace.find(address)
        if queue is None or not queue.settings.requires_session or not asks_for_session(link):
            return False
        if not self._may(link, "Listen"):
            return False
        self._acceptor.add(link, queue, now())
        self._accept_sessions()
        return True

    def _accept_sessions(self) -> None:
        for link, queue, lock in self._acceptor.answer(now()):
            if lock is not None:
                self._readers[link], self._sessions[link] = queue, lock
            elif asks_for_session(link, by_name=True):
                self._refuse(link, Refusal.SESSION_TAKEN, queue.path)
            else:
                self._refuse(link, Refusal.NO_SESSION_IN_TIME, queue.path)

    def _open_writer(self, link: Any, address: str) -> None:
        known = address.lower()
        if known not in self._namespace.queues and known not in self._namespace.topics:
            self._refuse(link, Refusal.NOT_FOUND, address)
        elif not self._may(link, "Send"):
            self._refuse(link, Refusal.UNAUTHORIZED, "Send")
        else:
            link.flow(1000)

    def _may(self, link: Any, right: str) -> bool:
        return right in self._rights.get(link.connection.remote_container, ())

    def _refuse(self, link: Any, refusal: Refusal, about: str) -> None:
        """A moment after the link has opened, as Service Bus does."""
        self._refused.append((link, refusal.about(about)))

    # To readers

    def on_link_flow(self, event: Any) -> None:
        with self._lock:
            self._deliver(event.link)

    on_sendable = on_link_flow

    def _deliver(self, link: Any) -> None:
        queue = self._readers.get(link)
        if queue is None or not link.state & Endpoint.LOCAL_ACTIVE:
            return
        lock = self._sessions.get(link)
        while link.credit > 0:
            entry = queue.take(now(), lock.id if lock else None)
            if entry is None:
                break
            assert entry.token is not None
            delivery = link.delivery(entry.token.bytes_le)
            link.send(entry.encoded())
            if link.snd_settle_mode == Link.SND_SETTLED:
                queue.complete(entry.token)
                delivery.settle()
            link.advance()
        if link.drain_mode and link.credit > 0:
            link.drained()

    def on_delivery(self, event: Any) -> None:
        delivery, link = event.delivery, event.link
        with self._lock:
            if link.is_receiver:
                if delivery.readable and not delivery.partial:
                    self._incoming(link, delivery)
            elif delivery.updated and link in self._readers:
                lost = Refusal.SESSION_LOST if link in self._sessions else Refusal.LOCK_LOST
                self._settled(self._readers[link], delivery, lost)

    def _settled(self, queue: Queue, delivery: Any, lost: Refusal) -> None:
        token, state, remote = uuid.UUID(bytes_le=tag(delivery)), delivery.remote_state, None
        if state == Delivery.ACCEPTED:
            done = queue.complete(token)
        elif state == Delivery.REJECTED:
            remote = delivery.remote.condition
            told = {str(name): text for name, text in ((remote and remote.info) or {}).items()}
            done = queue.dead_letter(
                token,
                told.get("DeadLetterReason") or "",
                told.get("DeadLetterErrorDescription") or "",
            )
        else:
            failed = state == Delivery.MODIFIED
            deferred = failed and delivery.remote.undeliverable
            done = queue.release(token, failed=failed, deferred=deferred)
        if done:
            delivery.update(state)
        else:
            delivery.local.condition = lost.about(queue.path)
            delivery.update(Delivery.REJECTED)
        delivery.settle()

    # From senders

    def _incoming(self, link: Any, delivery: Any) -> None:
        raw = bytes(link.recv(delivery.pending))
        link.advance()
        address = entity(link.remote_target.address)
        if address == "$cbs" or address.endswith("/$management"):
            delivery.update(Delivery.ACCEPTED)
            delivery.settle()
            self._request(link, address, raw)
        else:
            self._store(link, delivery, address, unbatch(raw))
        link.flow(1)

    def _store(self, link: Any, delivery: Any, address: str, messages: list[bytes]) -> None:
        problem = None
        try:
            if sum(map(len, messages)) > MAX_MESSAGE_BYTES:
                problem = Refusal.TOO_LARGE
            else:
                reached = [
                    queue for raw in messages for queue in self._namespace.send(address, raw)
                ]
        except KeyError:
            problem = Refusal.NOT_FOUND
        except OverflowError:
            problem = Refusal.FULL
        except SessionNeeded:
            problem = Refusal.NO_SESSION_ID
        if problem is not None:
            delivery.local.condition = problem.about(address)
            delivery.update(Delivery.REJECTED)
            delivery.settle()
            return
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        touched = set(map(id, reached))
        for reader, queue in list(self._readers.items()):
            if id(queue) in touched:
                self._deliver(reader)
        self._accept_sessions()

    # Requests

    def _request(self, link: Any, address: str, raw: bytes) -> None:
        request = Message()
        request.decode(raw)
        if address == "$cbs":
            allowed = rights(str(request.body))
            if allowed is not None:
                self._rights[link.connection.remote_container] = allowed
            code, words = (202, "Accepted") if allowed is not None else (
                401, "InvalidSignature: The token has an invalid signature.",
            )  # fmt: skip
            properties = {"status-code": int32(code), "status-description": words}
            self._answer(link, address, request, properties, None)
            return
        queue = self._namespace.find(address[: -len("/$management")])
        asked: dict[str, Any] = request.properties or {}
        act = self._operations.get(asked.get("operation", ""))
        if queue is None or act is None:
            code, body = (404 if queue is None else 501), None
        else:
            code, body = act(queue, request.body or {})
        properties = {"statusCode": int32(code), "statusDescription": "OK" if code < 300 else "no"}
        if code == 410:
            by_session = asked["operation"] == "com.microsoft:renew-session-lock"
            lost = Refusal.SESSION_LOST if by_session else Refusal.LOCK_LOST
            properties["errorCondition"] = symbol(lost.condition)
        self._answer(link, address, request, properties, body)

    def _answer(
        self, link: Any, address: str, request: Message, properties: dict[str, Any], body: Any
    ) -> None:
        sender = self._answers.get((link.connection.remote_container, address))
        if sender is None:
            return
        message = Message(body=body, properties=properties)
        message.correlation_id = request.id
        delivery = sender.delivery(uuid.uuid4().bytes)
        sender.send(message.encode())
        delivery.settle()

    def _peek(self, queue: Queue, body: Any) -> tuple[int, Any]:
        found = queue.peek(body["from-sequence-number"], body["message-count"])
        return (200 if found else 204), {
            "messages": [{"message": entry.encoded()} for entry in found]
        }

    def _renew(self, queue: Queue, body: Any) -> tuple[int, Any]:
        expirations = []
        for token in body["lock-tokens"]:
            until = queue.renew(token, now())
            if until is None:
                return 410, {}
            expirations.append(timestamp(until))
        return 200, {"expirations": expirations}

    def _renew_session(self, queue: Queue, body: Any) -> tuple[int, Any]:
        until = queue.renew_session(body["session-id"], now())
        return (410, {}) if until is None else (200, {"expiration": timestamp(until)})

    def _update_disposition(self, queue: Queue, body: Any) -> tuple[int, Any]:
        status = body["disposition-status"]
        for token in body["lock-tokens"]:
            if status == "completed":
                done = queue.complete(token)
            elif status == "suspended":
                reason = body.get("deadletter-reason", "")
                done = queue.dead_letter(token, reason, body.get("deadletter-description", ""))
            else:
                done = queue.release(token, failed=True, deferred=status == "defered")
            if not done:
                return 410, {}
        return 200, {}
