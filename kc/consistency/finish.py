"""Decide when a fit is finished.

A share of x^Delta measures the networks only after g has stopped improving; before that it
measures the schedule. The rule uses only the mean squared error on the validation cut, at the
ends of rounds of training; from the third on, each round is at least a third of all steps so
far.
"""

from collections.abc import Sequence
from typing import Literal

Settled = Literal["plateau", "validation", "no"]
ROUNDS = 4
"""Fewest rounds of a finished fit."""
RISE = 0.01
"""Share of its minimum by which the validation error must exceed it to count as rising."""
ROUNDING = 2e-5
"""In units of the target's variance: smaller improvements never count."""


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
        ``plateau``: training longer, by half of all steps, changes nothing. ``validation``: the
        last two rounds were more than ``RISE`` above the least error, so the g of the minimum is
        the best of the path, though training would still change it. ``no``: it is still improving.
    """
    if len(losses) <= ROUNDS:
        return "no"
    best, last = min(losses[:-1]), losses[-1]
    if best - last > max(improvement * best, ROUNDING):
        return "no"
    highest = max((1 + RISE) * best, best + ROUNDING)
    if last <= highest:
        return "plateau"
    # one round may have a bad average: two are a trend
    return "validation" if losses[-2] > highest else "no"


def at_rest(losses: Sequence[float], improvement: float) -> Settled:
    """Return whether a fit along a path has ended: the last round did not change the error.

    The start was the best under another lambda, so the error may rise during training.
    """
    if len(losses) <= ROUNDS:
        return "no"
    moved = abs(losses[-1] - losses[-2])
    return "plateau" if moved <= max(improvement * losses[-2], ROUNDING) else "no"
