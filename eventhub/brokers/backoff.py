"""How long to wait before trying again: the one rule for brokers, the store and processes."""

import random

__all__ = ["delay"]


def delay(attempt: int, longest: float) -> float:
    """Seconds before try number `attempt` (1, 2, …): a quarter second, doubled each time up to
    `longest`, of which a random half is taken off so that many collectors do not come at once
    ("equal jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    full = min(longest, 0.25 * 2.0 ** min(attempt, 20))
    return full * random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, guards no secret)
