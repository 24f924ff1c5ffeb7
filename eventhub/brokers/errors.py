"""What can go wrong with a broker, named by what to do about it."""

__all__ = ["BrokerError", "NotConnected", "PermanentFailure"]


class BrokerError(Exception):
    """A broker did not do what was asked. `str()` is a sentence for the Sources page."""

    def __init__(self, message: str, *, way_out: str = "") -> None:
        super().__init__(message)
        self.way_out = way_out
        """What a person can do about it, as a sentence or a command; may be empty."""


class NotConnected(BrokerError):
    """The broker is away or dropped us: come back later, with backoff."""


class PermanentFailure(BrokerError):
    """Trying again cannot help: a person must change the configuration or the broker."""
