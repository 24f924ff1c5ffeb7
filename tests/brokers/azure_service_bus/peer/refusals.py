"""Why Service Bus refuses something: conditions and words, about as Azure gives them."""

from enum import Enum

from proton import Condition

__all__ = ["Refusal"]


class Refusal(Enum):
    """Condition of AMQP, and words with a place for what it is about."""

    NOT_FOUND = ("amqp:not-found", "The messaging entity '{}' could not be found.")
    UNAUTHORIZED = ("amqp:unauthorized-access", "Unauthorized access. '{}' claim(s) are required.")
    SESSION_REQUIRED = (
        "amqp:not-allowed",
        "It is not possible for an entity that requires sessions to create a non-sessionful message"
        " receiver: '{}'.",
    )
    NO_SESSIONS = (
        "amqp:not-allowed",
        "A sessionful message receiver cannot be created on an entity that does not require"
        " sessions: '{}'.",
    )
    NO_SESSION_ID = (
        "amqp:not-allowed",
        "The SessionId was not set on a message, and it cannot be sent to the entity '{}'.",
    )
    FULL = (
        "amqp:resource-limit-exceeded",
        "The maximum entity size has been reached or exceeded: '{}'.",
    )
    TOO_LARGE = (
        "amqp:link:message-size-exceeded",
        "The received message is larger than the limit: '{}'.",
    )
    LOCK_LOST = ("com.microsoft:message-lock-lost", "The lock supplied is invalid: '{}'.")
    SESSION_LOST = (
        "com.microsoft:session-lock-lost",
        "The session lock has expired on the MessageSession '{}'.",
    )
    SESSION_TAKEN = (
        "com.microsoft:session-cannot-be-locked",
        "The requested session of '{}' cannot be accepted. It may be locked by another receiver.",
    )
    NO_SESSION_IN_TIME = (
        "com.microsoft:timeout",
        "The operation did not complete within the allotted timeout: '{}'.",
    )

    @property
    def condition(self) -> str:
        return self.value[0]

    def about(self, what: str) -> Condition:
        return Condition(self.value[0], self.value[1].format(what))
