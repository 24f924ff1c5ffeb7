"""The tally of dropped messages, on made-up figures: never too high, exact at rest."""

import math
import random

import pytest

from collectors.rabbitmq.management import QueueFigures
from collectors.rabbitmq.overflow import LAG, Tally


def figures(published: int, delivered: int) -> QueueFigures:
    return QueueFigures(published=published, delivered=delivered)


def test_a_fresh_tap_is_balanced_from_the_first_figures_on() -> None:
    tally = Tally(last_received=-math.inf, accounted=0)
    assert tally.look(0, 0, 0) is None
    tally.figures(1, figures(100, 0))
    assert tally.look(1, 10, 30) == 60
    assert tally.look(2, 10, 30) == 0
    assert tally.accounted == 60


def test_what_was_accounted_before_is_not_counted_again() -> None:
    tally = Tally(last_received=-60, accounted=50)
    tally.figures(0, figures(100, 20))
    assert tally.look(0, 20, 0) == 10


def test_after_a_quick_reconnect_nothing_is_told_before_figures_can_be_right() -> None:
    tally = Tally(last_received=-1, accounted=0)
    tally.figures(0, figures(100, 40))  # 60 more were delivered than the API knows
    assert tally.look(0, 0, 0) is None
    tally.figures(LAG, figures(100, 100))
    assert tally.look(LAG, 0, 0) == 0


def test_after_the_broker_began_to_count_anew_a_rest_is_waited_for() -> None:
    tally = Tally(last_received=-math.inf, accounted=0)
    tally.figures(1, figures(1_000, 0))
    tally.look(1, 0, 1_000)
    tally.figures(2, figures(5, 5))
    assert tally.look(2, 0, 1_005) is None
    tally.figures(3 + LAG, figures(5, 5))
    assert tally.look(3 + LAG, 0, 1_005) == 0
    tally.figures(4 + LAG, figures(25, 5))
    assert tally.look(4 + LAG, 5, 1_010) == 10


def test_a_node_that_keeps_no_statistics_leaves_the_count_unknown() -> None:
    tally = Tally(last_received=-math.inf, accounted=0)
    tally.figures(1, figures(0, 0))
    tally.look(1, 0, 500)
    tally.figures(2 + LAG, figures(0, 0))
    assert tally.look(2 + LAG, 0, 900) is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fresh", [True, False])
def test_it_is_never_too_high_and_exact_at_rest(seed: int, fresh: bool) -> None:
    """A queue of 100 with a random flow; the API shows it as it was up to 10 s ago."""
    choose = random.Random(seed)
    before = 0 if fresh else 500
    published, delivered, own, waiting, dropped = before, before, 0, 0, 0
    shown = [(published, delivered)]
    tally = Tally(last_received=-math.inf if fresh else -1, accounted=0)
    told = 0
    for second in range(120):
        if second < 80:
            arrived = choose.choice([0, 50, 120, 400])
            taken = min(waiting + arrived, choose.choice([0, 60, 200]))
            published += arrived
            delivered += taken
            own += taken
            waiting += arrived - taken
            over = max(waiting - 100, 0)
            waiting -= over
            dropped += over
        shown.append((published, delivered))
        lags = (choose.randint(0, 10), choose.randint(0, 10))
        then = [shown[max(len(shown) - 1 - lag, 0)] for lag in lags]
        # `published` is monotonic on the API too.
        seen = max(then[0][0], tally.published or 0)
        tally.figures(second, figures(seen, then[1][1]))
        told += tally.look(second, waiting, own) or 0
        assert told <= dropped
    assert told == dropped
