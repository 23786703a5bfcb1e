"""Accuracies on reconstructed features, and their gains, by pair and over all pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kc.plans.products import FitPlan
from kc.plans.registry import STUDIES
from kc.plans.study import StudyPlan
from kc.report.dots import DotRow, dots_figure
from kc.report.figures import write_figure
from kc.report.tables import TableText
from kc.settings.whole import Settings
from kc.studies.accuracies import accuracies
from kc.studies.averages import Averaging, averaged
from kc.studies.origin import write_study_table
from kc.studies.verdicts import Claim
from kc.studies.wording import ACCURACY

OWN = ("A", "B")
"""Features over which gains are computed."""
MOST_SUMS = 5
"""Most partial sums in a figure, which has six groups."""


class GainsOf(NamedTuple):
    """Which gains of a study are drawn."""

    study: str
    by: tuple[str, ...]
    """Columns that tell the lines of the figure, besides the features."""
    gain: str
    """Column of the gain."""
    shown: Sequence[str]
    """Features with a dot."""


def pair_accuracies(
    fit: FitPlan, found: Mapping[str, np.ndarray], as_trained: Mapping[str, float]
) -> pd.DataFrame:
    """Compute the accuracies of one pair.

    Parameters
    ----------
    fit
        A (source) reconstructs B (target).
    found
        By features: which test images are classified correctly.
    as_trained
        By features: accuracy (percent) of networks that were not trained further.

    Returns
    -------
    DataFrame
        source_network, target_network, network, layer, features, top1 (percent), test_images; for
        X in A and B, gain_over_X (percentage points); half_width and gain_over_X_half_width: half
        the 95 % interval of the paired bootstrap over test images, NaN for ``as_trained``.
    """
    frame = with_half_widths(accuracies(found, OWN))
    own = frame.set_index("features")["top1"]
    before = pd.DataFrame({"features": list(as_trained), "top1": list(as_trained.values())})
    for name in OWN:
        before[f"gain_over_{name}"] = before["top1"] - own[name]
    frame = pd.concat([before, frame], ignore_index=True)
    frame["test_images"] = len(next(iter(found.values())))
    frame.insert(0, "source_network", fit.source.name)
    frame.insert(1, "target_network", fit.target.name)
    frame.insert(2, "network", fit.target.architecture)
    frame.insert(3, "layer", fit.target_layer)
    return frame


def with_half_widths(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace the intervals of :func:`kc.studies.accuracies.accuracies` by half their width.

    Columns: half_width (of top1), gain_over_X_half_width; n becomes test_images.
    """
    frame = frame.rename(columns={"n": "test_images"})
    ends = [("half_width", "ci_low", "ci_high")]
    gains = [name for name in frame.columns if name.startswith("gain_over_")]
    ends += [
        (f"{name}_half_width", f"{name}_low", f"{name}_high")
        for name in gains
        if f"{name}_low" in gains
    ]
    for name, low, high in ends:
        frame[name] = (frame[high] - frame[low]) / 2
    return frame.drop(columns=[end for _, *both in ends for end in both])


def mean_accuracies(
    pairs: pd.DataFrame, by: Sequence[str], against: Sequence[str], averaging: Averaging
) -> pd.DataFrame:
    """Average accuracies and gains of single pairs.

    Parameters
    ----------
    pairs
        E.g. from :func:`pair_accuracies`.
    by
        Columns that tell the rows of the result.
    against
        X of the columns gain_over_X.

    Returns
    -------
    DataFrame
        ``by``, top1, ci_low, ci_high, n (independent networks or pairs), n_pairs; gain_over_X,
        gain_over_X_low, gain_over_X_high; the mean half_width, gain_over_X_half_width and
        test_images of a pair.
    """
    gains = [f"gain_over_{name}" for name in against]
    half_widths = ["half_width", *(f"{name}_half_width" for name in gains)]
    frame = averaged(
        pairs,
        by,
        dict.fromkeys(["top1", *gains], "plain"),
        [*half_widths, "test_images"],
        averaging,
    )
    frame = frame.rename(columns={"top1_low": "ci_low", "top1_high": "ci_high"})
    first = [*by, "top1", "ci_low", "ci_high", "n", "n_pairs"]
    frame["test_images"] = frame["test_images"].astype(int)
    return frame[[*first, *(name for name in frame if name not in first)]]


def with_paper(
    table: pd.DataFrame, names: Sequence[str], look_up: Callable[..., float], own: str
) -> pd.DataFrame:
    """Add the printed accuracy (paper) and the printed gain over the features ``own`` (paper_gain).

    Parameters
    ----------
    names
        Columns whose values are the arguments of ``look_up``, ``features`` first.
    look_up
        Returns a printed accuracy, or NaN.
    """
    keys = table[list(names)].astype(str).to_numpy().tolist()
    paper = np.array([look_up(*key) for key in keys])
    gain = paper - np.array([look_up(own, *rest) for _, *rest in keys])
    return table.assign(paper=paper, paper_gain=gain)


def gains_over(pairs: pd.DataFrame, by: Sequence[str], features: str, own: str) -> pd.DataFrame:
    """Return the gain of some features over others of each pair.

    Parameters
    ----------
    pairs
        From :func:`pair_accuracies`.
    by
        Columns that tell the cases, besides the features.

    Returns
    -------
    DataFrame
        ``by``, source_network, target_network, gain (percentage points).
    """
    keys = [*by, "source_network", "target_network"]
    wide = pairs.pivot_table(index=keys, columns="features", values="top1", sort=False)
    return (wide[features] - wide[own]).rename("gain").reset_index()


def write_gains(
    settings: Settings,
    plan: StudyPlan,
    text: TableText,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    about: GainsOf,
    claims: Sequence[Claim],
) -> None:
    """Write a study's table with its claims, the table of its pairs, the figure of its gains.

    ``tables``: from :func:`mean_accuracies` and its input.
    """
    table, pairs = tables
    (name,), (details,) = STUDIES[about.study].tables, STUDIES[about.study].details
    write_study_table(settings, about.study, plan, table, text, ACCURACY, name, claims)
    single = TableText(f"{text.title}, by pair", "The numbers of every pair of networks.", [])
    write_study_table(settings, about.study, plan, pairs, single, ACCURACY, details)
    figure = gain_figure(table[table["features"].isin(about.shown)], pairs, about.by, about.gain)
    write_figure(figure, settings.results / "figures" / name)


def gain_figure(table: pd.DataFrame, pairs: pd.DataFrame, by: Sequence[str], gain: str) -> Figure:
    """Draw the mean gain of each row of a table with its interval, and each pair's as a dot.

    Parameters
    ----------
    table, pairs
        From :func:`mean_accuracies` (with paper_gain) and its input.
    by
        Columns that tell the lines; the features are the groups.
    gain
        Column of the gain, e.g. ``gain_over_B``.
    """
    lines = [*by, "features"]
    dots = {key: list(some[gain]) for key, some in pairs.groupby(lines)}
    rows = []
    for row in table.to_dict("records"):
        key = tuple(row[name] for name in lines)
        ends = row[f"{gain}_low"], row[f"{gain}_high"]
        label = "  ".join(map(str, key[:-1]))
        rows.append(DotRow(label, row[gain], *ends, dots[key], row["paper_gain"], key[-1]))
    return dots_figure(rows, f"{gain.replace('_', ' ')} (points of top-1)", zero=True)


def sums_shown(table: pd.DataFrame) -> list[str]:
    """List the features that a figure shows: B as trained, the partial sums of most terms."""
    sums = [name for name in table["features"].unique() if name.startswith("x0")]
    return ["B_as_trained", *sums[-MOST_SUMS:]]
