"""Servers that start, and stop, at the same time: for tests that need several."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

__all__ = ["side_by_side"]

T = TypeVar("T")


@contextmanager
def side_by_side(
    starts: Mapping[str, Callable[[], AbstractContextManager[T]]],
) -> Iterator[dict[str, T]]:
    """What each of them made, by the same names. All are ended afterwards, also when one of them
    did not start."""
    stacks = {name: ExitStack() for name in starts}
    with ThreadPoolExecutor() as pool:
        begun = {name: pool.submit(_enter, stacks[name], start) for name, start in starts.items()}
        try:
            yield {name: future.result() for name, future in begun.items()}
        finally:
            wait(begun.values())
            for ended in [pool.submit(stack.close) for stack in stacks.values()]:
                ended.result()


def _enter(stack: ExitStack, start: Callable[[], AbstractContextManager[T]]) -> T:
    return stack.enter_context(start())
