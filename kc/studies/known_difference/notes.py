"""Sentences under the tables of `known_difference`, built from their numbers."""

import math
from collections.abc import Sequence

import pandas as pd

from kc.plans.records.known_difference import KnownDifference
from kc.studies.known_difference.numbers import GRID
from kc.studies.wording import unsettled

CLOSE = 5.0
"""Most percentage points between handicapped networks and placebo for a fair comparison."""
FACTORS = {
    "grey": "colour (mean Cb and Cr of the object)",
    "classes": "the classes left out of training",
}


def verdicts(contrasts: pd.DataFrame) -> list[str]:
    """Return a sentence for each factor: which measures detect it, and with what power."""
    return [_verdict(part, rows) for part, rows in contrasts.groupby("part", sort=False)]


def _verdict(part: object, rows: pd.DataFrame) -> str:
    seeds = rows[rows["contrast"] == "beyond seeds"]
    if seeds["ci_low"].isna().any():
        return (
            f"{part}: {int(seeds['n'].min())} groups of networks give no interval, so nothing can "
            "be concluded. Fix: six or more known_difference.seeds."
        )
    placebo = rows[rows["contrast"] == "beyond placebo"].set_index("measure")["ci_low"]
    found, missed = seeds[seeds["ci_low"] > 0], seeds[seeds["ci_low"] <= 0]
    also = [name for name in found["measure"] if placebo[name] > 0]
    text = f"{part}: the known gap exceeds what seeds alone give "
    text += f"by {_listed(found, 'power')}" if len(found) else "by no measure"
    if len(found):
        text += f"; it also exceeds the placebo by {', '.join(also) or 'none of them'}"
    if len(missed):
        text += f". Not shown by {_listed(missed, 'smallest')}"
    return f"{text}."


def _listed(rows: pd.DataFrame, column: str) -> str:
    words = {
        "power": lambda row: f"power {row.power:.2f}",
        "smallest": lambda row: f"{row.value:+.3f}; seen would have been {row.smallest:.3f}",
    }
    return ", ".join(f"{row.measure} ({words[column](row)})" for row in rows.itertuples())


def contrast_notes(about: KnownDifference, contrasts: pd.DataFrame) -> list[str]:
    """Return the notes of the contrasts: verdicts, measures, design."""
    told = "; ".join(f"{name}: {FACTORS[name]}" for name in about.factors)
    notes = [
        *verdicts(contrasts),
        "decoded: how well the factor can be decoded from x^Delta on test images, averaged over a "
        f"{GRID} x {GRID} grid (ridge regression, cross-validated; R^2, or balanced accuracy from "
        f"0 at chance to 1). The factor is {told}.",
        "inside: mean square of x^Delta on the object over that off it, relative to the same of "
        "x*. share: Var(xdelta) / Var(x*), the fraction of variance unexplained. linear: what the "
        "best linear map misses. cka: 1 - CKA. decoded and inside are the primary measures.",
        "h: handicapped, f: full, p: placebo; h to f: f's feature from h's. beyond placebo: (h to "
        "f) - (p to f). beyond seeds: (h to f) - (f to f). interaction: beyond seeds - ((f to h) - "
        "(h to h)). asymmetry: ((h to f) - (f to h)) - ((p to f) - (f to p)). Both fits of each "
        "difference of the first three have the same target. CKA has no direction: no asymmetry.",
        "Intervals: t over groups of networks that share no network. power: of a t test at 5 %, "
        "if the true value were this one. smallest: value detected with a probability of 80 %. "
        f"With {contrasts['measure'].nunique()} measures, one interval in twenty excludes 0 by "
        "chance.",
    ]
    if "inside" not in set(contrasts["measure"]):
        notes.append("inside is left out: the data set has no masks, or the layer is no map.")
    return notes


def handicap_notes(about: KnownDifference, table: pd.DataFrame) -> list[str]:
    """Return the notes on the accuracies: how close the placebo is to the handicapped networks."""
    top1 = table.set_index("kind")["top1"]
    notes = []
    for factor in about.factors:
        gap = float(top1[about.handicap(factor)] - top1[about.placebo(factor)])
        if abs(gap) > CLOSE:
            notes.append(
                f"Warning: the placebo of {factor} differs by {abs(gap):.1f} points from the "
                f"handicapped networks, more than {CLOSE:g}, so the comparison is weaker. Fix: "
                f"{'a higher' if gap > 0 else 'a lower'} known_difference.placebo_images.{factor}."
            )
    return [
        *notes,
        "grey: colour is removed in front of the network, in training, testing and recording; all "
        "networks are given the same stored pictures. fewer: the placebo, which sees this percent "
        "of the training pictures for as many steps. without: this number of classes is left out "
        "of training; its accuracy is that on the others.",
        "Interval: t over networks.",
    ]


def titration_notes(table: pd.DataFrame, preset: str) -> list[str]:
    """Return the notes of the titration: how far each measure is from the truth."""
    added = table[table["part"] == "added"]
    notes = [*unsettled(table["settled"].tolist(), [preset])]
    if len(added):
        off = {name: _farthest(added, name) for name in ("g", "linear", "cka")}
        told = ", ".join(f"{name} {value:.3f}" for name, value in off.items())
        notes.append(f"Largest distance from the true share that was added: {told}.")
    return [
        *notes,
        "added: x* = sqrt(1 - s) x + sqrt(s) x', x' the same feature of another image of the same "
        "subset, so the share that x cannot give is s. Each unit's training mean is subtracted "
        "first.",
        "deleted: x is x* without some channels, drawn at random. The share that it cannot give is "
        "at most that of these channels (upper), and at most what the linear map of g's field "
        "misses (linear_field).",
        "linear: missed by the best linear map of the neighbourhoods of one convolution. cka: "
        "1 - CKA; it is s too for what was added here, which has the covariance of x, but is no "
        "share of variance in general. Test images.",
    ]


def _farthest(rows: pd.DataFrame, name: str) -> float:
    return max(_distances(rows[name].tolist(), rows["truth"].tolist()), default=math.nan)


def _distances(values: Sequence[float], truths: Sequence[float]) -> list[float]:
    return [abs(value - truth) for value, truth in zip(values, truths, strict=True)]
