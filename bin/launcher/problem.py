"""What keeps EventHub from starting, in words for the person who started it."""

__all__ = ["Problem"]


class Problem(Exception):
    """Ends `bin/run` with its message, which says what is wrong and what to do about it."""
