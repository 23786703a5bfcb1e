"""Compute shares of x^Delta for the tables of Figures 4 and 5 [L20], over chains of networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kc.plans.products import FitPlan
from kc.studies.averages import averaged, over_chains
from kc.studies.fits import read_fit_card, read_network_card, read_variances
from kc.studies.intervals import Scale


def inconsistency(fit: FitPlan, results: Path) -> dict[str, Any]:
    """Return a row for a fit: x^Delta of the target, and both networks' accuracies.

    Returns
    -------
    dict
        network, layer, variance (of x^Delta on test images, the target's own units squared),
        share and share_train (of Var(x*): the fraction of variance unexplained, FVU), source_top1
        and target_top1 (test, percent).
    """
    card = read_fit_card(fit, results)
    variances = read_variances(fit, card["preset"], results)
    share = variances["xdelta"] / variances["target"]
    ends = [read_network_card(end, results) for end in (fit.source, fit.target)]
    return {
        "network": fit.target.architecture,
        "layer": fit.target_layer,
        "variance": float(variances["xdelta"]["test"]),
        "share": float(share["test"]),
        "share_train": float(share["train"]),
        "source_top1": ends[0]["accuracy"]["test"],
        "target_top1": ends[1]["accuracy"]["test"],
    }


def inconsistencies(
    cases: Mapping[str, tuple[FitPlan, ...]], name: str, results: Path
) -> pd.DataFrame:
    """Return a row for each fit: column ``name`` holds its case, ``chain`` the target's seed."""
    return pd.DataFrame(
        [
            {name: case, "chain": fit.target.seed} | inconsistency(fit, results)
            for case, fits in cases.items()
            for fit in fits
        ]
    )


def mean_shares(
    chains: pd.DataFrame, by: str, plain: Sequence[str], means: Sequence[str] = ()
) -> pd.DataFrame:
    """Average over chains, with intervals over them: on a log scale for share and variance.

    Parameters
    ----------
    chains
        From :func:`inconsistencies`.
    by
        Column of the case; rows are told by it, network and layer.
    plain
        Further columns with an interval, such as top1.
    means
        Columns of which only the mean is taken.

    Returns
    -------
    DataFrame
        ``by``, network, layer; share, ci_low, ci_high, n (chains), the same of train (share_train,
        without interval), variance, variance_low, variance_high, and for each NAME of ``plain``
        NAME, NAME_low, NAME_high; ``means``.
    """
    scales: dict[str, Scale] = {"share": "log", "variance": "log"}
    found = averaged(
        chains,
        [by, "network", "layer"],
        scales | dict.fromkeys(plain, "plain"),
        ["share_train", *means],
        over_chains,
    )
    found = found.rename(columns={"share_low": "ci_low", "share_high": "ci_high"})
    first = [by, *means, "network", "layer", "share", "ci_low", "ci_high", "n", "share_train"]
    return found[[*first, *(name for name in found if name not in (*first, "n_pairs"))]]
