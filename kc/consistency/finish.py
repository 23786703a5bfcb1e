"""When a fit is finished: the rule that stops it, and what it says of itself.

A share of x^Delta measures the networks only once g has stopped improving; before that it
measures the schedule. The rule looks at the mean squared error on the validation cut alone, at
the ends of rounds of training; from the third on, each round is at least a third of all so far.
"""

from collections.abc import Sequence
from typing import Literal

Settled = Literal["plateau", "validation", "no"]
ROUNDS = 4
"""Before so many no fit is finished."""
RISE = 0.01
"""Share of its minimum by which a validation error that lies above it is one that rises."""
ROUNDING = 2e-5
"""Of the target's variance: improvements below it are none, whatever their share."""


def settled(losses: Sequence[float], improvement: float) -> Settled:
    """Return whether, and why, a fit is finished.

    Parameters
    ----------
    losses
        Validation MSE at the start and after each round, in units of the target's variance.
    improvement
        Share of the validation MSE below which a round did not improve it.

    Returns
    -------
    Settled
        ``plateau``: training on, by half of all steps again, changes nothing. ``validation``: the
        last two rounds lay more than ``RISE`` above the least error, so the g of the minimum is
        the best of the path, though training would move it on. ``no``: it is still improving.
    """
    if len(losses) <= ROUNDS:
        return "no"
    best, last = min(losses[:-1]), losses[-1]
    if best - last > max(improvement * best, ROUNDING):
        return "no"
    highest = max((1 + RISE) * best, best + ROUNDING)
    if last <= highest:
        return "plateau"
    # one round may have met a bad average: two are a trend
    return "validation" if losses[-2] > highest else "no"


def at_rest(losses: Sequence[float], improvement: float) -> Settled:
    """Return whether a step along a path has ended: the last round moved the error neither way.

    The start was best under another lambda, so the error may rise for as long as training moves.
    """
    if len(losses) <= ROUNDS:
        return "no"
    moved = abs(losses[-1] - losses[-2])
    return "plateau" if moved <= max(improvement * losses[-2], ROUNDING) else "no"
