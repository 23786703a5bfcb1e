"""Contrasts between fits, with intervals over groups of networks, and their power."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from kc.studies.intervals import LEAST, LEVEL, over_groups
from kc.studies.known_difference.numbers import MEASURES

CONTRASTS: Mapping[str, Mapping[str, int]] = {
    "beyond placebo": {"h_to_f": 1, "p_to_f": -1},
    "beyond seeds": {"h_to_f": 1, "f_to_f": -1},
    "interaction": {"h_to_f": 1, "f_to_f": -1, "f_to_h": -1, "h_to_h": 1},
    "asymmetry": {"h_to_f": 1, "f_to_h": -1, "p_to_f": -1, "f_to_p": 1},
}
"""Signs of the roles in each contrast (:class:`kc.plans.records.known_difference.Group`)."""
ROUNDING = 1e-12


def contrast_values(fits: pd.DataFrame, part: str, contrast: str, measure: str) -> list[float]:
    """Return a contrast's value in each group, in the order of the groups."""
    own = fits[fits["part"] == part]
    wide = own.pivot_table(index="group", columns="role", values=measure, sort=False, dropna=False)
    signed = sum(sign * wide[role] for role, sign in CONTRASTS[contrast].items())
    return [float(value) for value in pd.Series(signed)]


def contrasts_table(fits: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each factor, measure and contrast.

    Left out are measures that are NaN, and contrasts that are 0 by definition: CKA, which has no
    direction, has no asymmetry.

    Columns: part, measure, contrast, value (mean over groups), ci_low, ci_high, n (groups), effect
    (value in standard errors), power (of a two-sided t test at 5 % if the true value were this
    one), smallest (the value that would have been detected with a probability of 80 %).
    """
    rows = []
    for part in fits["part"].unique():
        groups = list(fits[fits["part"] == part]["group"].unique())
        for measure in MEASURES:
            for contrast in CONTRASTS:
                values = contrast_values(fits, part, contrast, measure)
                if not any(map(math.isnan, values)) and max(map(abs, values)) > ROUNDING:
                    about = {"part": part, "measure": measure, "contrast": contrast}
                    rows.append(about | _estimated(groups, values))
    return pd.DataFrame(rows)


def _estimated(groups: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    # groups share no network
    found = over_groups(groups, values)
    effect = found.mean / found.error if found.error > 0 else math.nan
    return {
        "value": found.mean,
        "ci_low": found.low,
        "ci_high": found.high,
        "n": found.n,
        "effect": effect,
        "power": power_of(effect, found.n),
        "smallest": found.smallest,
    }


def power_of(effect: float, n: int) -> float:
    """Return the power of a two-sided t test at 5 % over n groups; NaN without an effect.

    ``effect`` is the true value in units of its standard error, the parameter of the noncentral t.
    """
    if n < LEAST or math.isnan(effect):
        return math.nan
    critical = float(stats.t.ppf((1 + LEVEL) / 2, n - 1))
    of = stats.nct(n - 1, abs(effect))
    # the chance of the opposite sign; far out scipy gives NaN for less than 1e-9
    return float(of.sf(critical) + np.nan_to_num(of.cdf(-critical)))
