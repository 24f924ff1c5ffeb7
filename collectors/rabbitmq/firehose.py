"""The firehose: what RabbitMQ's tracer says of a message becomes that message again.

https://www.rabbitmq.com/docs/firehose. A trace has the original's body, and its properties and
headers in a table among its own headers.
"""

import time
from typing import Any, Final

from collectors.rabbitmq.tables import read_list, read_shallow, read_table
from collectors.rabbitmq.translate import FIREHOSE, Content, assemble, delivery
from eventhub.brokers.contract import Delivery
from eventhub.events.headers import Header, HeaderValue

__all__ = ["traced"]

_FACTS: Final = ("node", "connection", "channel", "user")
_HOUR: Final = 3_600
_BITS: Final = 2**32


def traced(content: Content) -> Delivery:
    """The message that a trace tells of. Never raises: what is no trace stays as it came."""
    try:
        facts, found = _read(content.header)
        keys = read_list(facts["routing_keys"])
        exchange = _bytes(facts["exchange_name"])
        queues = read_list(facts["routed_queues"])
    except (ValueError, LookupError, TypeError):
        return delivery(content)
    told: list[Header] = [(FIREHOSE + name, facts[name]) for name in _FACTS if name in facts]
    told.append((f"{FIREHOSE}routed_queues", queues))
    if len(keys) > 1:
        # CC and BCC: https://www.rabbitmq.com/docs/sender-selected
        told.append((f"{FIREHOSE}routing_keys", keys))
    key = _bytes(keys[0]) if keys else b""
    return assemble(content, found, exchange, key, told)


def _read(header: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tracer's facts, and the properties of the original as `assemble` takes them.

    A trace has headers and no other property: two bytes of flags and the table with its length.
    """
    facts = dict(read_shallow(header[6:]))
    found: dict[str, Any] = {}
    for name, value in read_shallow(facts["properties"]):
        if name == "headers":
            found[name] = read_table(value)
        elif name == "timestamp":
            found[name] = _whole(value, int(time.time()))
        elif isinstance(value, bytes):
            found[name] = value.decode("utf-8", "surrogateescape")
        else:
            found[name] = value
    return facts, found


def _bytes(text: HeaderValue) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(text, bytes):
        return text
    raise TypeError(f"a name is {type(text).__name__}")


def _whole(low: int, now: int) -> int:
    """A timestamp property of which the tracer kept the lowest 32 bits (measured on 3.10.8).

    Seconds are whole again until 2106. Producers that write milliseconds are recognised while the
    message is not older than an hour; 1 in 600 older seconds would be mistaken for such.
    """
    seconds = low % _BITS
    milliseconds = now * 1000 + (low - now * 1000 + _BITS // 2) % _BITS - _BITS // 2
    if abs(seconds - now) > _HOUR and abs(milliseconds - now * 1000) < _HOUR * 1000:
        return milliseconds
    return seconds
