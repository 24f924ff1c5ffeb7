"""One log of several processes, with the process's label before each line."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Final, TextIO

__all__ = ["Log"]

_WIDTH: Final = 10
_COLOURS: Final = (36, 35, 33, 32, 34, 96, 95, 93)
_RED: Final = 31


class Log:
    """Writes whole lines, from any thread. Colours only on a terminal, and not with NO_COLOR.

    `abandoned` is called when nobody reads the log any more (`bin/run | head`)."""

    def __init__(self, abandoned: Callable[[], None], output: TextIO = sys.stdout) -> None:
        self._abandoned = abandoned
        self._output = output
        self._lock = threading.Lock()
        self._colour = output.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, int] = {}

    def write(self, label: str, text: str, *, trouble: bool = False) -> None:
        column = f"{label:<{_WIDTH}}"
        with self._lock:
            if self._colour:
                colour = self._colours.setdefault(label, _COLOURS[len(self._colours) % 8])
                column = f"\x1b[{colour}m{column}\x1b[0m"
                text = f"\x1b[{_RED}m{text}\x1b[0m" if trouble else text
            try:
                self._output.write(f"{column} {text}\n")
                self._output.flush()
            except OSError:
                self._abandoned()
