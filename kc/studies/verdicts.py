"""Compare claims of a paper with measured effects: shows, does not show, cannot tell."""

from collections.abc import Mapping

import pandas as pd

from kc.studies.averages import Averaging
from kc.studies.intervals import LEAST, Estimate
from kc.studies.wording import with_interval

WORDS = {1: "shows", -1: "does not show", 0: "cannot tell"}
EXPLAINED = (
    "Verdicts: shows, if the 95 % interval of the effect lies above 0; does not show, if it lies "
    "below; else cannot tell, with the smallest effect that four of five such studies would have "
    "seen ((t.975 + t.8) standard errors)."
)


def verdict(claim: str, effects: Mapping[str, Estimate], spec: str = "+.1f") -> str:
    """Return a sentence on a claim: for which cases the effects show it.

    Parameters
    ----------
    claim
        What the paper says, and the unit of the effects.
    effects
        Effect by case; above 0 if the claim holds.
    spec
        Number format of the effects.
    """
    told: dict[int, list[str]] = {sign: [] for sign in WORDS}
    for case, found in effects.items():
        told[found.sign].append(f"{case} {with_interval(found, spec)}{_seen(found, spec)}")
    parts = [f"{WORDS[sign]}: {', '.join(cases)}" for sign, cases in told.items() if cases]
    return f"{claim}: {'; '.join(parts)}."


def effects_by(
    frame: pd.DataFrame, by: list[str], column: str, averaging: Averaging
) -> dict[str, Estimate]:
    """Average a column for each group of ``by``, whose values joined are the names of the cases."""
    return {
        " ".join(map(str, key)): averaging(group, column, "plain")
        for key, group in frame.groupby(by, sort=False)
    }


def _seen(found: Estimate, spec: str) -> str:
    if found.n < LEAST:
        return f" (no interval with n = {found.n})"
    return (
        "" if found.sign else f" (from {found.smallest:{spec.removeprefix('+')}} it would be seen)"
    )
