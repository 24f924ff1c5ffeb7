"""Names of what messages lie in: queues, subscriptions of topics, and their dead-letter queues."""

from typing import Final, NamedTuple, Self

from eventhub.brokers.errors import PermanentFailure

__all__ = ["DEAD_LETTERS", "Entity"]

DEAD_LETTERS: Final = "$DeadLetterQueue"
_SUBSCRIPTIONS: Final = "subscriptions"


class Entity(NamedTuple):
    """`queue`, `topic/Subscriptions/name`, and each with /$DeadLetterQueue behind it.

    Names of queues and topics may hold slashes themselves.
    """

    owner: str
    """Name of the queue or topic."""
    subscription: str = ""
    dead_letters: bool = False

    @classmethod
    def parse(cls, name: str) -> Self:
        """Raises PermanentFailure for what names nothing."""
        parts = name.strip("/").split("/")
        dead = parts[-1].lower() == DEAD_LETTERS.lower()
        if dead:
            parts.pop()
        subscription = ""
        if len(parts) > 2 and parts[-2].lower() == _SUBSCRIPTIONS:
            subscription = parts[-1]
            parts = parts[:-2]
        if not all(parts):
            raise PermanentFailure(
                f"{name!r} names no queue or subscription.",
                way_out="Write queue, or topic/Subscriptions/name.",
            )
        return cls("/".join(parts), subscription, dead)

    @property
    def path(self) -> str:
        """As the broker's own AMQP addresses have it."""
        path = self.owner
        if self.subscription:
            path += f"/Subscriptions/{self.subscription}"
        return f"{path}/{DEAD_LETTERS}" if self.dead_letters else path

    def with_dead_letters(self) -> "Entity":
        return self._replace(dead_letters=True)
