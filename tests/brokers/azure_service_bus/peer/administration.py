"""The administration API: entities, rules and counts as Atom entries over HTTP.

https://learn.microsoft.com/rest/api/servicebus/entities
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.brokers.azure_service_bus.peer.filters import Rule
from tests.brokers.azure_service_bus.peer.namespace import Namespace
from tests.brokers.azure_service_bus.peer.queues import ACTIVE, SCHEDULED, Queue, Settings
from tests.brokers.azure_service_bus.peer.tokens import rights

__all__ = ["serve"]

_SB = "{http://schemas.microsoft.com/netservices/2010/10/servicebus/connect}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_SYSTEM = ("CorrelationId", "MessageId", "To", "ReplyTo", "Label", "SessionId", "ContentType")
_DURATION = re.compile(
    r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)  # as ISO 8601 has it, without months


class Answer(Exception):
    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    namespace: Namespace
    lock: threading.Lock

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_PUT(self) -> None:
        self._respond(self._put)

    def do_DELETE(self) -> None:
        self._respond(self._delete)

    def log_message(self, *_: Any) -> None:
        """Nothing: the log is for what goes wrong."""

    def _respond(self, act: Any) -> None:
        url = urlsplit(self.path)
        path = [unquote(part) for part in url.path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            allowed = rights(self.headers.get("Authorization", ""))
            if allowed is None:
                raise Answer(401, "InvalidSignature: The token has an invalid signature.")
            if "Manage" not in allowed:
                raise Answer(401, "Manage claim is required for this operation.")
            with self.lock:
                code, text = act(path, query, body)
        except Answer as answer:
            code, text = (
                answer.code,
                f"<Error><Code>{answer.code}</Code><Detail>{answer}</Detail></Error>",
            )
        self.send_response(code)
        self.send_header("Content-Type", "application/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    # Reading

    def _get(self, path: list[str], query: dict[str, str], _: bytes) -> tuple[int, str]:
        skip, top = int(query.get("$skip", 0)), min(int(query.get("$top", 100)), 100)
        match path:
            case ["$Resources", "queues"]:
                found = [(q.path, _queue(q)) for q in self.namespace.queues.values()]
            case ["$Resources", "topics"]:
                found = [
                    (t.name, _topic(len(t.subscriptions))) for t in self.namespace.topics.values()
                ]
            case [topic, "subscriptions"]:
                listed = self._topic(topic).subscriptions.values()
                found = [(s.queue.path.rsplit("/", 1)[1], _subscription(s.queue)) for s in listed]
            case [topic, "subscriptions", name, "rules"]:
                rules = self._subscription(topic, name).rules
                found = [(title, _rule(title, rule)) for title, rule in rules.items()]
            case [topic, "subscriptions", name]:
                queue = self._subscription(topic, name).queue
                return 200, _entry(name, _subscription(queue))
            case [name]:
                return 200, self._entity(name)
            case _:
                raise Answer(404, "No such resource.")
        return (
            200,
            f"<feed {_ATOM}>{''.join(_entry(*each) for each in found[skip : skip + top])}</feed>",
        )

    def _entity(self, name: str) -> str:
        queue = self.namespace.queues.get(name.lower())
        if queue is not None:
            return _entry(name, _queue(queue))
        topic = self.namespace.topics.get(name.lower())
        # Azure answers an empty feed, with 200, for an entity that is not there.
        return _entry(name, _topic(len(topic.subscriptions))) if topic else f"<feed {_ATOM}></feed>"

    def _topic(self, name: str) -> Any:
        if name.lower() not in self.namespace.topics:
            raise Answer(404, f"The messaging entity '{name}' could not be found.")
        return self.namespace.topics[name.lower()]

    def _subscription(self, topic: str, name: str) -> Any:
        subscriptions = self._topic(topic).subscriptions
        if name.lower() not in subscriptions:
            raise Answer(
                404, f"The messaging entity '{topic}/Subscriptions/{name}' could not be found."
            )
        return subscriptions[name.lower()]

    # Writing

    def _put(self, path: list[str], _: dict[str, str], body: bytes) -> tuple[int, str]:
        described = ElementTree.fromstring(body).find(".//{*}content")
        assert described is not None
        [element] = list(described)
        match path:
            case [topic, "subscriptions", name, "rules", title]:
                self._subscription(topic, name)
                self.namespace.set_rule(topic, name, title, _read_rule(element))
                return 201, _entry(title, "")
            case [topic, "subscriptions", name]:
                if name.lower() in self._topic(topic).subscriptions:
                    raise Answer(409, f"The messaging entity '{name}' already exists.")
                self.namespace.create_subscription(topic, name, _settings(element))
            case [name]:
                if name.lower() in {**self.namespace.queues, **self.namespace.topics}:
                    raise Answer(409, f"The messaging entity '{name}' already exists.")
                if element.tag == f"{_SB}QueueDescription":
                    self.namespace.create_queue(name, _settings(element))
                else:
                    self.namespace.create_topic(name)
            case _:
                raise Answer(404, "No such resource.")
        return 201, _entry(path[-1], "")

    def _delete(self, path: list[str], _: dict[str, str], __: bytes) -> tuple[int, str]:
        match path:
            case [topic, "subscriptions", name, "rules", title]:
                if title not in self._subscription(topic, name).rules:
                    raise Answer(404, f"The rule '{title}' could not be found.")
                self.namespace.set_rule(topic, name, title, None)
            case [topic, "subscriptions", name]:
                self._subscription(topic, name)
                self.namespace.delete(topic, name)
            case [name]:
                if not self.namespace.delete(name):
                    raise Answer(404, f"The messaging entity '{name}' could not be found.")
            case _:
                raise Answer(404, "No such resource.")
        return 200, ""


_ATOM = 'xmlns="http://www.w3.org/2005/Atom"'


def _entry(title: str, content: str) -> str:
    inner = f'<content type="application/xml">{content}</content>'
    return f'<entry {_ATOM}><title type="text">{escape(title)}</title>{inner}</entry>'


def _element(kind: str, inner: str) -> str:
    return f'<{kind} xmlns="{_SB[1:-1]}" xmlns:i="{_TYPE[1:-5]}">{inner}</{kind}>'


def _counts(queue: Queue | None) -> str:
    active = queue.count(ACTIVE) if queue else 0
    scheduled = queue.count(SCHEDULED) if queue else 0
    dead = len(queue.dead.entries) if queue and queue.dead else 0
    inner = "".join(
        f"<d2p1:{name}>{count}</d2p1:{name}>"
        for name, count in [
            ("ActiveMessageCount", active),
            ("DeadLetterMessageCount", dead),
            ("ScheduledMessageCount", scheduled),
            ("TransferMessageCount", 0),
            ("TransferDeadLetterMessageCount", 0),
        ]
    )
    namespace = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
    return f'<CountDetails xmlns:d2p1="{namespace}">{inner}</CountDetails>'


def _described(queue: Queue) -> str:
    settings = queue.settings
    expires = f"PT{(settings.ttl or 2**31) / 1000:g}S"
    idle = settings.auto_delete_minutes
    return (
        f"<LockDuration>PT{settings.lock_seconds:g}S</LockDuration>"
        f"<RequiresSession>{str(settings.requires_session).lower()}</RequiresSession>"
        f"<DefaultMessageTimeToLive>{expires}</DefaultMessageTimeToLive>"
        f"<MaxDeliveryCount>{settings.max_delivery_count}</MaxDeliveryCount>"
        + (f"<AutoDeleteOnIdle>PT{idle}M</AutoDeleteOnIdle>" if idle else "")
        + f"{_counts(queue)}"
    )


def _queue(queue: Queue) -> str:
    return _element("QueueDescription", _described(queue))


def _subscription(queue: Queue) -> str:
    return _element("SubscriptionDescription", _described(queue))


def _topic(subscriptions: int) -> str:
    count = f"<SubscriptionCount>{subscriptions}</SubscriptionCount>"
    return _element("TopicDescription", count + _counts(None))


def _rule(title: str, rule: Rule) -> str:
    inner = ""
    if rule.kind == "CorrelationFilter":
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in rule.system.items())
        pairs = "".join(
            f"<KeyValueOfstringanyType><Key>{escape(key)}</Key><Value>{escape(value)}</Value>"
            "</KeyValueOfstringanyType>"
            for key, value in rule.properties.items()
        )
        inner += f"<Properties>{pairs}</Properties>" if pairs else ""
    else:
        inner = f"<SqlExpression>{escape(rule.sql)}</SqlExpression>"
    found = f'<Filter i:type="{rule.kind}">{inner}</Filter>'
    return _element("RuleDescription", f"{found}<Name>{escape(title)}</Name>")


def _settings(element: Any) -> Settings:
    def text(name: str) -> str | None:
        found = element.find(f"{_SB}{name}")
        return None if found is None else found.text

    settings = Settings()
    if lock := text("LockDuration"):
        settings.lock_seconds = _seconds(lock)
    if ttl := text("DefaultMessageTimeToLive"):
        settings.ttl = round(_seconds(ttl) * 1000)
    if limit := text("MaxDeliveryCount"):
        settings.max_delivery_count = int(limit)
    if size := text("MaxSizeInMegabytes"):
        settings.max_bytes = int(size) * 1024 * 1024
    if idle := text("AutoDeleteOnIdle"):
        settings.auto_delete_minutes = round(_seconds(idle) / 60)
    settings.requires_session = text("RequiresSession") == "true"
    settings.dead_letters_expired = text("DeadLetteringOnMessageExpiration") == "true"
    return settings


def _seconds(duration: str) -> float:
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise Answer(400, f"{duration} is no duration.")
    days, hours, minutes, seconds = (float(group or 0) for group in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _read_rule(element: Any) -> Rule:
    found = element.find(f"{_SB}Filter")
    kind = found.attrib[_TYPE]
    if kind != "CorrelationFilter":
        return Rule(kind, sql=found.findtext(f"{_SB}SqlExpression") or "1=1")
    named = {name: found.findtext(f"{_SB}{name}") for name in _SYSTEM}
    pairs = found.iter(f"{_SB}KeyValueOfstringanyType")
    return Rule(
        kind,
        system={name: text for name, text in named.items() if text},
        properties={e.findtext(f"{_SB}Key"): e.findtext(f"{_SB}Value") for e in pairs},
    )


def serve(port: int, namespace: Namespace, lock: threading.Lock) -> None:
    """In a thread of its own, until the process ends."""
    handler = type("Handler", (_Handler,), {"namespace": namespace, "lock": lock})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
