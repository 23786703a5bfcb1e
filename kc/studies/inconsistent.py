"""Compute shares of x^Delta for the tables of Figures 4 and 5 [L20]."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from kc.plans.products import FitPlan
from kc.report.curves import CurveAxis, curves_figure
from kc.studies.fits import read_fit_card, read_network_card, read_variances


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
    """Return a row for each fit; the column ``name`` holds its case."""
    return pd.DataFrame(
        [{name: case} | inconsistency(fit, results) for case, fits in cases.items() for fit in fits]
    )


def shares_figure(table: pd.DataFrame, x: CurveAxis, layers: Iterable[str]) -> Figure:
    """Draw shares of x^Delta and top-1 accuracy, a line for each layer [L20, Fig. 4]."""
    return curves_figure(
        table,
        x,
        CurveAxis("share", "Var(x$^\\Delta$) / Var(x*)"),
        "layer",
        labels={layer: layer for layer in layers},
        y2=CurveAxis("top1", "top-1 (%)"),
    )
