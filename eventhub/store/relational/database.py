"""What the two engines do differently when the same statement runs on them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Final, TypeVar

from django.db import Error, InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from eventhub.events.event import Event
from eventhub.store.contract import StoreUnavailable

__all__ = ["COLUMNS", "EVENT_COLUMNS", "Database", "TooSlow", "placeholders"]

EVENT_COLUMNS: Final = Event.__struct_fields__
"""The columns of `events`, in the order of the event's fields."""
COLUMNS: Final = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)


T = TypeVar("T")


class TooSlow(Exception):
    """A statement ran out of the time it was given."""


class Database(ABC):
    """Statements on one Django connection, without Django's own cursors: those turn off binary
    results and server-side parameters on PostgreSQL, and cost 40 µs a statement on SQLite.

    Parameters are written `%s`. An event id as a parameter goes through `id`.
    """

    unavailable: ClassVar[tuple[type[Exception], ...]]
    """The driver's errors after which trying again can help."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._errors: tuple[type[Exception], ...] = (
            OperationalError,
            InterfaceError,
            *self.unavailable,
        )

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """Of this thread."""
        return connections[self.alias]

    def transaction(self) -> AbstractContextManager[None]:
        return transaction.atomic(using=self.alias)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turns an error of the connection into StoreUnavailable; the next use connects anew."""
        try:
            yield
        except self._errors as error:
            self._reset()
            raise StoreUnavailable(str(error).strip() or type(error).__name__) from error

    def read(self, work: Callable[[], T]) -> T:
        """What `work()` returns. Once more if the connection had broken while it was idle: a page
        is not refused because the server was started again last night."""
        was_open = self.connection.connection is not None
        try:
            with self.reachable():
                return work()
        except StoreUnavailable:
            if not was_open or self.connection.connection is not None:
                raise
        with self.reachable():
            return work()

    def _reset(self) -> None:
        try:
            self.connection.close()
        except Error:
            return

    @abstractmethod
    def id(self, event_id: bytes) -> object:
        """The parameter that stands for an id."""

    @abstractmethod
    def events(self, index: str) -> str:
        """The table, for FROM, read along the index of this name where that can be said."""

    @abstractmethod
    def lookup(self, column: str) -> str:
        """`SELECT id … WHERE `, to be completed by a condition that this column equals a value."""

    @abstractmethod
    def holds(self, column: str) -> str:
        """Condition that a text or bytes column contains the parameter."""

    @abstractmethod
    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Returns how many rows it changed."""

    @abstractmethod
    def run_many(self, sql: str, parameters: Iterable[Sequence[object]]) -> None: ...

    @abstractmethod
    def stream(
        self, sql: str, parameters: Sequence[object], *, seconds: float
    ) -> Generator[tuple[Any, ...], None, None]:
        """Rows as they come; may be left before its end. Raises TooSlow after `seconds`."""


def placeholders(values: Sequence[object]) -> str:
    """`(%s, %s)` for a condition with IN. An empty list matches nothing."""
    return f"({', '.join(['%s'] * len(values)) or 'NULL'})"
