"""Draw Table 1: a line for each case of a layer, with the dots of its pairs."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from kc.report.dots import DotRow, dots_figure
from kc.studies.depth import PAPER
from kc.studies.stability.cases import CASES

GROUPS = {"test": "test images", "train": "training images"}


def stability_figure(table1: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """Draw Table 1 layer by layer: test images, and for the paper's cases training images.

    Parameters
    ----------
    table1, pairs
        ``table1`` and ``table1_pairs`` of
        :func:`kc.studies.stability.numbers.stability_tables`.
    """
    shown = ", 95 % interval" if table1["ci_low"].notna().any() else ""
    axis = f"instability: Var(x$^\\Delta$) / Var(x*){shown}"
    return dots_figure(list(_rows(table1, pairs)), axis)


def _rows(table1: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[DotRow]:
    whole = pairs[pairs["images"] == "all"]
    for (network, layer), group in table1.groupby(["network", "layer"], sort=False):
        own = whole[(whole["network"] == network) & (whole["layer"] == layer)]
        row: Mapping[Any, Any]
        for row in group.to_dict("records"):
            case, subset = str(row["case"]), str(row["subset"])
            if subset == "train" and case not in PAPER:
                continue
            dots = own.loc[own["case"] == case, f"share_{subset}"]
            yield DotRow(
                f"{network} {layer}, {CASES[case]}",
                row["mean"],
                row["ci_low"],
                row["ci_high"],
                list(dots),
                row["paper"] if subset == "test" else math.nan,
                GROUPS[subset],
            )
