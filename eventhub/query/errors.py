"""The one error of the query language."""

__all__ = ["QueryError"]


class QueryError(ValueError):
    """A query that cannot be read, told so that the person who typed it can mend it."""

    def __init__(self, message: str, position: int, expected: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        """A sentence for the person."""
        self.position = position
        """Index of the character it is about; the query's length where something is missing."""
        self.expected = expected
        """What could stand there, in words; empty where that would not help."""
