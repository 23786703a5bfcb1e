"""Write what is known of the stability of deeper layers."""

import math

import pandas as pd

from kc.studies.depth import DepthComparison, compare_depths
from kc.studies.intervals import LEAST, Estimate
from kc.studies.stability.cases import CASES
from kc.studies.verdicts import Claim
from kc.studies.wording import with_interval


def depth_claims(shares: pd.DataFrame) -> list[Claim]:
    """Compare the paper's claim on depth with each pair of neighbouring layers that tells."""
    effects = {
        f"{found.network} {found.second} over {found.first}, {CASES[found.case]}": found.ratio
        for found in compare_depths(shares)
        if found.ratio is not None
    }
    claim = Claim(
        "[L20, Table 1]",
        "deeper layers are less stable",
        "logarithm of the deeper layer's share over the shallower's, without what g overfits",
        effects,
        "+.3f",
    )
    return [claim] if effects else []


def depth_notes(shares: pd.DataFrame) -> tuple[str, ...]:
    """Write the rule of the comparison, and a verdict for each pair of neighbouring layers."""
    found = compare_depths(shares)
    if not found:
        return ()
    rule = (
        "Depth: g overfits deeper layers more, since they have fewer positions per weight. So the "
        "verdict is on one number, the deeper layer's test share over the shallower's, each "
        "without the excess from few images: that is measured by fits on half the images (pairs "
        "of a ring, different initialisations; stopped on the same validation images) and taken "
        "as 1 / images. Geometric mean over pairs; intervals as for n, on a log scale."
    )
    return (*(_sentence(one) for one in found), rule)


def _sentence(found: DepthComparison) -> str:
    a, b = found.first, found.second
    return (
        f"{found.network}, {CASES[found.case]}: {_verdict(found)} Beside it: {b} minus {a} is "
        f"{with_interval(found.test, '+.3f')} on test and "
        f"{with_interval(found.train, '+.3f')} on train"
        f"{_growth(found)}; positions per weight of g: {found.positions[0]:.3g} in {a}, "
        f"{found.positions[1]:.3g} in {b}."
    )


def _growth(found: DepthComparison) -> str:
    if found.growth is None:
        return ""
    grown = [f"{100 * (factor - 1):+.0f} %" for factor in found.growth]
    return (
        f"; on half the images the test share changes by {grown[0]} in {found.first} and by "
        f"{grown[1]} in {found.second}"
    )


def _verdict(found: DepthComparison) -> str:
    a, b = found.first, found.second
    open_ = f"whether {b} is less stable than {a} cannot be told: "
    if found.growth is None:
        return f"{open_}there are no fits on half the images (stability.half_images)."
    if found.ratio is None:
        return (
            f"{open_}on half the images a test share more than doubles, so what g overfits cannot "
            "be removed. Fix: more images."
        )
    told = f"without what g overfits, {b} misses {_factor(found.ratio)} the share of {a}"
    if found.ratio.n < LEAST:
        return f"{told}; with n = {found.ratio.n} there is no interval, so {open_[:-2]}."
    if found.sign:
        return f"{told}. So {b} is {'less' if found.sign > 0 else 'more'} stable than {a}."
    smallest = math.exp(min(found.ratio.smallest, 700))
    return (
        f"{told}. So {open_}the interval holds 1; a factor of {smallest:.3g}, or its inverse, "
        "would have been seen (80 % power)."
    )


def _factor(ratio: Estimate) -> str:
    mean = f"{math.exp(ratio.mean):.2f} times"
    if ratio.n < LEAST:
        return mean
    low, high = (math.exp(min(end, 700)) for end in (ratio.low, ratio.high))
    return f"{mean} [{low:.3g}, {high:.3g}]"
