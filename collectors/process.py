"""One process of a source or of a share of one, and the rule by which it is started again."""

import logging
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Final

from eventhub.brokers.backoff import delay
from eventhub.sources.leases import Holding

__all__ = ["GRACE", "SourceProcess"]

logger = logging.getLogger(__name__)

LONGEST_RESTART: Final = 30.0
"""Seconds before a process that keeps failing is started again, at most."""
STEADY: Final = 60.0
"""Seconds after which a process counts as well, and its failures before that as forgotten."""
GRACE: Final = 2.5
"""Seconds a process has to commit, settle and leave. What it then holds is delivered again."""


class SourceProcess:
    """Runs `target(holding)` and starts it again with backoff while it ends with a failure.

    `on_failure(words, seconds, failures)` is told how it ended and when it is started again.
    """

    def __init__(
        self,
        context: ForkServerContext,
        target: Callable[[Holding], None],
        holding: Holding,
        *,
        on_failure: Callable[[str, float, int], None],
    ) -> None:
        self._context = context
        self._target = target
        self._holding = holding
        self._on_failure = on_failure
        self._process: ForkServerProcess | None = None
        self._started = 0.0
        self._retry_at = 0.0
        self._asked_to_stop: float | None = None
        self.failures = 0
        self.finished = False
        """The target returned: its work is done."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def keep(self) -> None:
        """Start it if it is not there and its time has come."""
        if self.running or self.finished:
            return
        if self._process is not None:
            self._note_end()
        if not self.finished and time.monotonic() >= self._retry_at:
            self._process = self._context.Process(target=self._target, args=(self._holding,))
            self._started = time.monotonic()
            self._process.start()

    def ask_to_stop(self) -> None:
        """Call it again and again: first it asks, after GRACE it ends the process."""
        if self._process is None:
            return
        if self._asked_to_stop is None:
            self._asked_to_stop = time.monotonic()
            self._process.terminate()
        elif time.monotonic() - self._asked_to_stop > GRACE:
            logger.warning("The collector of %s did not leave in time and is ended.", self._holding)
            self._process.kill()

    def join(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic seconds), then end it."""
        if self._process is not None:
            self._process.join(max(0.0, deadline - time.monotonic()))
            if self._process.is_alive():
                self._process.kill()

    def _note_end(self) -> None:
        assert self._process is not None
        code = self._process.exitcode
        self._process = None
        if code == 0:
            self.finished = True
            return
        steady = time.monotonic() - self._started > STEADY
        self.failures = 1 if steady else self.failures + 1
        seconds = delay(self.failures, LONGEST_RESTART)
        self._retry_at = time.monotonic() + seconds
        how = f"was ended by signal {-code}" if code and code < 0 else f"ended with code {code}"
        self._on_failure(f"The collector {how}.", seconds, self.failures)
