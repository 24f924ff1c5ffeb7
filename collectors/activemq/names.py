"""Names of topics and queues.

ActiveMQ may have a topic and a queue of the same name, so EventHub writes a topic as
`topic://orders` and a queue by its bare name; `queue://orders` is understood too. Every name that
EventHub shows can be published to as it is.
"""

from typing import Final, NamedTuple

__all__ = ["PUBLISHES_TO", "Name", "covers", "parse", "wildcards"]

PUBLISHES_TO: Final = "topic://name or queue://name (a bare name is a queue)"
_TOPIC: Final = "topic://"
_QUEUE: Final = "queue://"


class Name(NamedTuple):
    topic: bool
    text: str
    """Without the prefix."""

    def __str__(self) -> str:
        return _TOPIC + self.text if self.topic else self.text

    @property
    def full(self) -> str:
        """With the prefix that says what it is; Classic takes it as an AMQP address."""
        return (_TOPIC if self.topic else _QUEUE) + self.text

    @property
    def words(self) -> str:
        """For a sentence."""
        return f"{'topic' if self.topic else 'queue'} {self.text!r}"


def parse(text: str, *, bare_is_topic: bool = False) -> Name:
    """What a text names. STOMP's and OpenWire's own prefixes are understood."""
    for prefix, topic in ((_TOPIC, True), (_QUEUE, False), ("/topic/", True), ("/queue/", False)):
        if text.startswith(prefix):
            return Name(topic, text.removeprefix(prefix))
    return Name(bare_is_topic, text)


def wildcards(name: str, *, classic: bool) -> bool:
    """Whether it matches more than one name: `*` is one word, `>` (Classic) or `#` (Artemis) the
    rest. https://activemq.apache.org/components/classic/documentation/wildcards and
    https://activemq.apache.org/components/artemis/documentation/latest/wildcard-syntax.html"""
    words = name.split(".")
    return "*" in words or (">" if classic else "#") in words


def covers(wide: str, narrow: str, *, classic: bool) -> bool:
    """Whether every name that `narrow` matches is matched by `wide` too."""
    rest = ">" if classic else "#"
    outer, inner = wide.split("."), narrow.split(".")
    for place, word in enumerate(outer):
        if word == rest:
            return True
        if place >= len(inner) or (word != inner[place] and (word != "*" or inner[place] == rest)):
            return False
    return len(outer) == len(inner)
