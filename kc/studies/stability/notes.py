"""Notes of Tables 1 and 2, written from their numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from kc.plans.products import FitPlan
from kc.studies import printed, wording
from kc.studies.stability.cases import case_notes
from kc.studies.stability.controls import control_notes
from kc.studies.stability.depth_notes import depth_notes

FIT = ("case", "images", "source_network", "target_network")
"""Columns that identify a fit, together with the layer."""


class LayerPair(NamedTuple):
    """The pair of a layer that has a ladder and repeated fits."""

    fit: FitPlan
    parts: pd.DataFrame
    """One row for each subset and component, shares of Var(x*): ``pair_share``, ``pair_spread``
    over the seeds of g (NaN if there is one), ``pair_moved``."""
    rungs: pd.DataFrame
    """Ladder (:class:`kc.consistency.rungs.Ladder`), with network and layer."""
    penalty: float
    """Lambda of the pair's own fit."""
    repeats: int
    """Number of seeds of g."""
    restart: Mapping[str, Any]
    """Gain of further training (:class:`kc.consistency.repeats.Repeats`)."""


def table1_notes(shares: pd.DataFrame) -> tuple[str, ...]:
    """Write the notes of Table 1: what n is, depth, presets, how the paper's numbers are read."""
    return (
        *unsettled_notes(shares),
        *depth_notes(shares),
        *control_notes(shares),
        *case_notes(shares),
        "Subset train: the images g was fitted on, which the networks were trained on too (each "
        "on half of them if training data differ); subset test: images used for neither. Fits on "
        "half the images (pairs of a ring) take that half as train. The paper does not say on "
        "which images it measured; its code reports test images.",
        *preset_notes(shares),
        f"Two definitions: mean is Var(xdelta) / Var(x*), the fraction of variance unexplained "
        f"(FVU = 1 - R^2); mean_of_sum is Var(xdelta) / (sum of the "
        f"components' variances, xdelta among them). The paper's printed Table 1 equals the "
        f"second, from its Table 2, within {printed.reading_gap():.4f}.",
    )


def table2_notes(shares: pd.DataFrame) -> tuple[str, ...]:
    """Write the notes of Table 2: units, the cross term, lambda."""
    return (
        *unsettled_notes(shares),
        "From the pairs of different initialisations, fitted on all training images; "
        "variance is in the feature's own units squared, averaged over the pairs; share is the "
        "average of the pairs' shares of Var(x*), with the jackknife over networks (on a log "
        "scale; cross on a plain one); share_of_sum is that of the sum of x0..xK and xdelta, as in "
        "the paper's columns.",
        "cross = Var(x*) - sum of the components' variances: the components may be "
        "correlated, so shares of Var(x*) sum to 1 only with it.",
        "x1, x2, ... depend on lambda, the penalty on the gains p: compare them across layers, or "
        "with the paper's, only with this in mind. "
        f"lambda here: {_penalties(shares)}.",
        "The paper's variances are of its own networks' features and units; compare "
        "share_of_sum with paper_share_of_sum.",
        *preset_notes(shares),
    )


def pair_notes(table2: pd.DataFrame, pairs: Sequence[LayerPair]) -> tuple[str, ...]:
    """Describe the columns of one pair, and which parts cannot be distinguished from 0."""
    repeats = pairs[0].repeats
    notes = [
        f"pair_share is that of one pair for each layer ({_first(pairs)}); pair_moved the same "
        "after the linear part of the higher orders (in the patches that x^(0) sees) is moved to "
        "x^(0): half of a ReLU is linear, and a fit may assign it to either order."
    ]
    if repeats > 1:
        notes[0] += (
            f" pair_spread: largest minus smallest of {repeats} fits with other seeds of g (and "
            "other validation cuts)."
        )
        held = table2[table2["subset"] == "test"]
        doubtful = held[held["pair_spread"] > held["pair_share"].abs()]
        if len(doubtful):
            told = [
                f"{row.component} of {row.network} {row.layer} ({row.pair_share:.3f}, spread "
                f"{row.pair_spread:.3f})"
                for row in doubtful.itertuples()
            ]
            notes.append(f"Cannot be distinguished from 0, test images: {', '.join(told)}.")
    return tuple(notes)


def ladder_notes(ladder: pd.DataFrame, pairs: Sequence[LayerPair]) -> tuple[str, ...]:
    """Describe the rows, the gain of g over linear maps, and that of further training."""
    told = []
    for pair in pairs:
        path = path_of(pair.rungs).sort_values("validation_mse")
        gain = float(path[path["penalty"] == pair.penalty]["beyond_linear"].iloc[0])
        line = "no linear map of its field" if math.isnan(gain) else _gained(gain)
        if len(path) > 1:
            line += f", lambda {path['penalty'].iloc[0]:g} validates best"
        told.append(f"{pair.fit.target.architecture} {pair.fit.target_layer}: {line}")
    open_ones = int((ladder["settled"] == "no").sum())
    notes = []
    if open_ones:
        notes.append(
            f"Warning: {open_ones} of the table's fits of g are not finished (settled: no); their "
            "xdelta is too large."
        )
    notes += [
        f"One pair a layer ({_first(pairs)}), test images but for xdelta_train. {'; '.join(told)}.",
        "linear: the best linear map, with an intercept, of a field x field neighbourhood "
        "(ridge by the validation cut); flattened: of whole images. beyond_linear: share missed by "
        "the linear map of g's own field minus that of g. Only this is non-linear: on maps an "
        "order of g also widens the field.",
        "Along lambda each g is trained further from the one of the tables; its orders are shares "
        "of Var(x*). p is not identified (in a channel of little variance W(0) can compensate "
        "it): do not compare it across pairs.",
    ]
    gains = [pair.restart["gain"] for pair in pairs if pair.restart]
    if gains:
        notes.append(
            "Trained further by the same rule, for at most as many epochs again, the g "
            f"of these pairs gain {100 * min(gains):.1f} to {100 * max(gains):.1f} % of their "
            "validation MSE."
        )
    return tuple(notes)


def path_of(rungs: pd.DataFrame) -> pd.DataFrame:
    """Select the g of the highest order of one pair, one row for each lambda."""
    of = rungs[rungs["map"] == "g"]
    path: pd.DataFrame = of[of["order"] == of["order"].max()]
    return path


def _first(pairs: Sequence[LayerPair]) -> str:
    ends = sorted({(pair.fit.source.seed, pair.fit.target.seed) for pair in pairs})
    return " or ".join(f"seed {a} to seed {b}" for a, b in ends)


def _gained(gain: float) -> str:
    word = "more" if gain > 0 else "less"
    return f"g gives {abs(gain):.3f} {word} than the linear map of its field"


def unsettled_notes(shares: pd.DataFrame) -> tuple[str, ...]:
    """Return a note that counts unfinished fits, or nothing if all are finished."""
    fits = shares.drop_duplicates([*FIT, "layer"])
    return wording.unsettled(list(fits["settled"]), list(fits["preset"]))


def preset_notes(shares: pd.DataFrame) -> tuple[str, ...]:
    """Describe where g differs from the paper's text, from the fits' cards."""
    notes = []
    presets = set(shares["preset"])
    if "paper" in presets:
        bounded = ", p = sigmoid(q)" if "sigmoid" in set(shares["gain"]) else ""
        notes.append(
            "Preset paper: x and x* are normalised by one mean and std a layer, Sigma is a "
            f"variance per channel over the training images{bounded}, and lambda acts on "
            f"normalised features: {_penalties(shares)} (the paper, on raw ones: 0.1, and 8.0 for "
            "AlexNet). The optimiser is ours and stops on a validation cut of the training images."
        )
    if "released" in presets:
        notes.append(
            "Preset released differs from the paper's text as the authors' code does: x is "
            "divided by its own std per image and channel, x* is raw, Sigma is taken per image "
            "and channel, and variances are taken about each channel's own mean."
        )
    if shares["resized"].any():
        notes.append(
            "If map sizes differ the source is resized bilinearly to the target's: the paper "
            "does not say what it does."
        )
    return tuple(notes)


def _penalties(shares: pd.DataFrame) -> str:
    """Format lambda: once if it is the same for all, else by network and layer."""
    distinct = set(shares["penalty"])
    if len(distinct) == 1:
        return f"{distinct.pop():.3g}"
    spelled = []
    for (network, layer), group in shares.groupby(["network", "layer"], sort=False):
        ends = sorted({f"{value:.3g}" for value in group["penalty"]}, key=float)
        spelled.append(f"{' to '.join(dict.fromkeys((ends[0], ends[-1])))} for {network} {layer}")
    return ", ".join(spelled)
