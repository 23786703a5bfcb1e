"""Compare claims of a paper with measured effects: shows, does not show, cannot tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kc.studies.averages import Averaging
from kc.studies.intervals import LEAST, Estimate
from kc.studies.wording import with_interval

CLAIMS = "claims"
"""Key of the rows of claims in the ``.json`` of the table that tests them."""
WORDS = {1: "shows", -1: "does not show", 0: "cannot tell"}
EXPLAINED = (
    "Verdicts: shows, if the 95 % interval of the effect lies above 0; does not show, if it lies "
    "below; else cannot tell, with the smallest effect that four of five such studies would have "
    "seen ((t.975 + t.8) standard errors)."
)


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, with the effects that test it."""

    source: str
    """Where the paper says so, e.g. ``[L20, Table 3]``."""
    says: str
    """What it says."""
    unit: str
    """What the effects are."""
    effects: Mapping[str, Estimate]
    """Effect by case; above 0 if the claim holds."""
    spec: str = "+.1f"
    """Number format of the effects."""

    def sentence(self) -> str:
        """Return a sentence that sorts the cases by their verdicts."""
        told: dict[str, list[str]] = {word: [] for word in WORDS.values()}
        for case, found in self.effects.items():
            effect = f"{case} {with_interval(found, self.spec)}{self._seen(found)}"
            told[verdict(found)].append(effect)
        parts = [f"{word}: {', '.join(cases)}" for word, cases in told.items() if cases]
        return f"Claim: {self.says} ({self.unit}): {'; '.join(parts)}."

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each case, as JSON values but for NaN.

        Keys: source, claim, unit, case, effect, ci_low, ci_high, n, smallest, verdict.
        """
        return [
            {"source": self.source, "claim": self.says, "unit": self.unit, "case": case}
            | {"effect": found.mean, "ci_low": found.low, "ci_high": found.high, "n": found.n}
            | {"smallest": found.smallest, "verdict": verdict(found)}
            for case, found in self.effects.items()
        ]

    def _seen(self, found: Estimate) -> str:
        if found.n < LEAST:
            return f" (no interval with n = {found.n})"
        if found.sign:
            return ""
        return f" (from {found.smallest:{self.spec.removeprefix('+')}} it would be seen)"


def verdict(found: Estimate) -> str:
    """Return one of :data:`WORDS` for an effect."""
    return WORDS[found.sign]


def sentences(claims: Iterable[Claim]) -> list[str]:
    """Return the sentence of each claim, and what the verdicts mean; nothing without claims."""
    told = [claim.sentence() for claim in claims]
    return [*told, EXPLAINED] if told else []


def recorded(claims: Iterable[Claim]) -> dict[str, Any]:
    """Return the rows of claims as an entry of a table's origin; nothing without claims."""
    rows = [row for claim in claims for row in claim.rows()]
    return {CLAIMS: rows} if rows else {}


def effects_by(
    frame: pd.DataFrame, by: list[str], column: str, averaging: Averaging
) -> dict[str, Estimate]:
    """Average a column for each group of ``by``, whose values joined are the names of the cases."""
    return {
        " ".join(map(str, key)): averaging(group, column, "plain")
        for key, group in frame.groupby(by, sort=False)
    }
