"""Sends batches of ten to a queue or a topic, several in flight, and tells what became of each.

A request whose answer was lost is not repeated: SQS would take the messages twice.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from collectors.sqs.attributes import Unwritable, size_of, to_attributes, unfit
from collectors.sqs.config import SQSConfig
from collectors.sqs.connection import Clients
from collectors.sqs.queues import LARGEST, TEN, find_url, is_fifo, name_of
from collectors.sqs.refusals import MISSING, SIGN_IN, code_of, refusal, was_not_sent
from collectors.sqs.translate import DEDUPLICATION, SUBJECT, TRACE, is_ours
from eventhub.brokers.contract import Confirmed, Message, Outcome, Refused, Unknown
from eventhub.brokers.errors import BrokerError, NotConnected

__all__ = ["PUBLISHES_TO", "Publisher"]

PUBLISHES_TO: Final = "queue (name or URL) or SNS topic (ARN)"
_IN_FLIGHT: Final = 8
_LARGEST_OF_A_TOPIC: Final = 262_144
_NO_KEY: Final = "eventhub"
"""A FIFO queue needs a group: messages without a key share this one, which keeps their order."""


class _Route(msgspec.Struct, frozen=True):
    target: str
    """URL of a queue, ARN of a topic."""
    topic: bool
    fifo: bool
    largest: int
    """Bytes of a message, and of a batch."""


class _Entry(msgspec.Struct):
    place: int
    """Which of the messages it is."""
    fields: dict[str, Any]
    size: int
    original: str | None
    """Message id that the message had when it was received."""


class Publisher:
    """See `eventhub.brokers.contract.Publisher`."""

    def __init__(self, config: SQSConfig) -> None:
        self._clients = Clients(config, connections=_IN_FLIGHT)
        self._routes: dict[str, _Route] = {}
        self._pool = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="publish to SQS")

    def publish(self, messages: Sequence[Message], target: str) -> list[Outcome]:
        if not messages:
            return []
        route = self._route(target)
        if route is None:
            missing = Refused(f"There is no queue {name_of(target)!r}.")
            return [missing] * len(messages)
        outcomes: list[Outcome] = [Unknown("Not tried.")] * len(messages)
        entries: list[_Entry] = []
        for place, message in enumerate(messages):
            try:
                entries.append(_entry(place, message, route))
            except Unwritable as problem:
                outcomes[place] = Refused(f"SQS cannot carry it: {problem}.")
        for place, outcome in self._send(route, _batches(entries, route.largest)):
            outcomes[place] = outcome
        return outcomes

    def close(self) -> None:
        self._pool.shutdown()
        self._clients.close()

    def _route(self, target: str) -> _Route | None:
        """Where it goes; None where no such queue is. A topic is only known by publishing."""
        if target not in self._routes:
            fifo = is_fifo(target)
            if target.startswith("arn:"):
                self._routes[target] = _Route(target, True, fifo, _LARGEST_OF_A_TOPIC)
            else:
                sqs = self._clients.get("sqs")
                url = find_url(sqs, target)
                if url is None:
                    return None
                self._routes[target] = _Route(url, False, fifo, _largest(sqs, url))
        return self._routes[target]

    def _send(self, route: _Route, batches: list[list[_Entry]]) -> list[tuple[int, Outcome]]:
        """Places with their outcomes. Raises BrokerError where nothing at all was sent."""
        client = self._clients.get("sns" if route.topic else "sqs")
        if route.fifo:
            results = _in_order(client, route, batches)
        else:
            results = list(self._pool.map(lambda batch: _try(client, route, batch), batches))
        problems = [result for result in results if isinstance(result, BrokerError)]
        if problems and len(problems) == len(results):
            raise problems[0]
        told: list[tuple[int, Outcome]] = []
        for batch, result in zip(batches, results, strict=True):
            if isinstance(result, BrokerError):
                refused = Refused(f"Not sent: {result}")
                told += [(entry.place, refused) for entry in batch]
            else:
                told += zip((entry.place for entry in batch), result, strict=True)
        if any(isinstance(o, Refused) and "no queue" in o.reason for _, o in told):
            self._routes.clear()  # it was removed, and may be made anew at another address
        return told


def _largest(sqs: Any, url: str) -> int:
    try:
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["MaximumMessageSize"])
    except (ClientError, BotoCoreError):
        return LARGEST  # not allowed to ask: the queue itself refuses what is too large
    return int(answer.get("Attributes", {}).get("MaximumMessageSize", LARGEST))


def _entry(place: int, message: Message, route: _Route) -> _Entry:
    body = _text(message.payload)
    special = {name: value for name, value in message.headers if is_ours(name)}
    attributes = to_attributes(pair for pair in message.headers if not is_ours(pair[0]))
    size = len(message.payload) + size_of(attributes)
    if size > route.largest:
        raise Unwritable(f"{size} bytes are more than the {route.largest} that are allowed")
    fields: dict[str, Any] = {
        "Id": str(place), "Message" if route.topic else "MessageBody": body,
    }  # fmt: skip
    if attributes:
        fields["MessageAttributes"] = attributes
    if message.key is not None or route.fifo:
        key = message.key if message.key is not None else _NO_KEY
        fields["MessageGroupId"] = key if isinstance(key, str) else _text(key)
    if route.fifo:
        # One of our own, even where the queue would take the content's digest: two messages with
        # the same bytes stay two.
        fields["MessageDeduplicationId"] = str(special.get(DEDUPLICATION) or uuid4().hex)
    if route.topic and isinstance(subject := special.get(SUBJECT), str):
        fields["Subject"] = subject
    if not route.topic and isinstance(trace := special.get(TRACE), str):
        header = {"DataType": "String", "StringValue": trace}
        fields["MessageSystemAttributes"] = {"AWSTraceHeader": header}
    return _Entry(place, fields, size, message.message_id)


def _text(payload: bytes) -> str:
    """SQS carries Unicode text, not bytes (the list of characters is in SendMessage's page)."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise Unwritable(f"it is not UTF-8 text (byte {error.start})") from error
    if not text:
        raise Unwritable("it is empty")
    if (at := unfit(text)) is not None:
        raise Unwritable(f"it has the character U+{ord(text[at]):04X}, which SQS refuses")
    return text


def _batches(entries: list[_Entry], largest: int) -> list[list[_Entry]]:
    """Ten in a batch at most, and together no larger than one message may be."""
    batches: list[list[_Entry]] = []
    size = 0
    for entry in entries:
        if not batches or len(batches[-1]) == TEN or size + entry.size > largest:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += entry.size
    return batches


def _in_order(
    client: Any, route: _Route, batches: list[list[_Entry]]
) -> list[list[Outcome] | BrokerError]:
    """One after the other; after one that failed, the rest is not sent, which keeps the order."""
    results: list[list[Outcome] | BrokerError] = []
    broken: str | None = None
    for batch in batches:
        if broken is not None:
            results.append(NotConnected(f"an earlier message failed ({broken})"))
            continue
        result = _try(client, route, batch)
        results.append(result)
        if isinstance(result, BrokerError):
            broken = str(result)
        else:
            failed = next((each for each in result if not isinstance(each, Confirmed)), None)
            broken = None if failed is None else failed.reason
    return results


def _try(client: Any, route: _Route, batch: list[_Entry]) -> list[Outcome] | BrokerError:
    fields = [entry.fields for entry in batch]
    try:
        if route.topic:
            answer = client.publish_batch(TopicArn=route.target, PublishBatchRequestEntries=fields)
        else:
            answer = client.send_message_batch(QueueUrl=route.target, Entries=fields)
    except BrokerError as own:  # about credentials that had to be renewed
        return own
    except ClientError as error:
        return _refused(error, route, len(batch))
    except BotoCoreError as error:
        problem = refusal(error, f"publishing to {name_of(route.target)!r}")
        if was_not_sent(error):
            return problem
        lost = Unknown(f"{problem} The messages may or may not have been sent.")
        return [lost] * len(batch)
    return _outcomes(answer, batch)


def _refused(error: Any, route: _Route, count: int) -> list[Outcome] | BrokerError:
    name = name_of(route.target)
    if code_of(error) in MISSING:
        what = "topic" if route.topic else "queue"
        return [Refused(f"There is no {what} {name!r}.")] * count
    problem = refusal(error, f"publishing to {name!r}")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500 and status != 503:
        return [Unknown(f"{problem} The messages may or may not have been sent.")] * count
    if isinstance(problem, NotConnected) or code_of(error) in SIGN_IN:
        return problem
    return [Refused(str(problem))] * count


def _outcomes(answer: Any, batch: list[_Entry]) -> list[Outcome]:
    told: dict[str, Outcome] = {}
    originals = {entry.fields["Id"]: entry.original for entry in batch}
    for each in answer.get("Successful", ()):
        told[each["Id"]] = _success(each, originals[each["Id"]])
    for each in answer.get("Failed", ()):
        words = f"{each.get('Code', '')}: {each.get('Message', 'no reason given')}"
        sure = each.get("SenderFault", True) or each.get("Code") != "InternalError"
        told[each["Id"]] = Refused(words) if sure else Unknown(words)
    silent = Unknown("The answer does not mention this message.")
    return [told.get(entry.fields["Id"], silent) for entry in batch]


def _success(told: dict[str, Any], original: str | None) -> Outcome:
    """A FIFO queue confirms a duplicate with the first one's id, and drops it: within five minutes
    of the original, a replay with its deduplication id would be lost, and must not be confirmed
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html)."""
    if original is not None and told.get("MessageId") == original:
        return Refused(
            "SQS took it for a duplicate of the original and dropped it: less than five minutes"
            f" have passed. Wait, or send it without the header {DEDUPLICATION}."
        )
    return Confirmed(str(told.get("MessageId", "")))
