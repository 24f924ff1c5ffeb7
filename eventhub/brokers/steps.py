"""The steps of a connection test, taken one after the other."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from eventhub.brokers.contract import Step, Verdict
from eventhub.brokers.errors import BrokerError

__all__ = ["Act", "Warned", "taken"]

logger = logging.getLogger(__name__)

Act: TypeAlias = "Callable[[], str]"
"""Returns what went well; empty where there was nothing to do. Raises a BrokerError."""


class Warned(BrokerError):
    """A step is not quite all right, and the next ones can be taken."""


def taken(steps: Iterable[tuple[str, Act]]) -> Iterator[Step]:
    """Each step as soon as it is done; a failed one is the last. Never raises.

    `steps` are pairs of a step's name and its act; each is asked for when the one before is done.
    """
    for name, act in steps:
        started = time.monotonic()
        verdict, words, way_out = _told(act)
        took = round((time.monotonic() - started) * 1000)
        if words:
            yield Step(name, verdict, words, way_out, took)
        if verdict is Verdict.FAILED:
            return


def _told(act: Act) -> tuple[Verdict, str, str]:
    try:
        return Verdict.OK, act(), ""
    except Warned as warning:
        return Verdict.WARNING, str(warning), warning.way_out
    except BrokerError as error:
        return Verdict.FAILED, str(error), error.way_out
    except Exception as error:
        logger.exception("A connection test failed in a way that nobody foresaw.")
        return Verdict.FAILED, f"Something unexpected happened: {type(error).__name__}.", ""
