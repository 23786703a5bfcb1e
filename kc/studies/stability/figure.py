"""Draw Table 1: dots with intervals that differ in shape and fill as well as in colour."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kc.report.figures import STYLE
from kc.studies.stability.notes import CASES

# palette of Okabe and Ito
MARKS: Mapping[str, Mapping[str, Any]] = {
    "test": {"color": "#0072B2", "marker": "o", "markerfacecolor": "#0072B2"},
    "train": {"color": "#D55E00", "marker": "s", "markerfacecolor": "white"},
    "paper": {"color": "#000000", "marker": "D", "markerfacecolor": "none"},
}
LABELS = {
    "test": "test images",
    "train": "training images",
    "paper": "[L20], as printed",
}
OFFSETS = {"test": -0.24, "train": 0.0, "paper": 0.24}


def stability_figure(table1: pd.DataFrame) -> Figure:
    """Draw Table 1: a panel for each case, a line for each layer; test, train and printed values.

    Parameters
    ----------
    table1
        From :func:`kc.studies.stability.numbers.stability_tables`.
    """
    cases = list(table1["case"].unique())
    lines = list(dict.fromkeys(zip(table1["network"], table1["layer"], strict=True)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(cases) + 1.2, 0.55 * len(lines) + 1.5))
        panels = figure.subplots(1, len(cases), sharey=True, sharex=True, squeeze=False)[0]
        for axes, case in zip(panels, cases, strict=True):
            _panel(axes, table1[table1["case"] == case], lines)
            axes.set_title(CASES[case].capitalize(), loc="left", fontsize=9, fontweight="bold")
        panels[0].set_yticks(range(len(lines)), [f"{layer}\n{name}" for name, layer in lines])
        panels[0].invert_yaxis()
        panels[0].set_xlim(*_limits(table1))
        shown = ", 95 % interval" if table1["ci_low"].notna().any() else ""
        figure.supxlabel(f"instability: Var(x$^\\Delta$) / Var(x*){shown}", fontsize=9)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        figure.set_layout_engine("constrained")
    return figure


def _limits(table1: pd.DataFrame) -> tuple[float, float]:
    """Return limits that include 0, every interval and every printed value, with a margin."""
    shown = table1[["mean", "ci_low", "ci_high", "paper"]].to_numpy(np.float64)
    low, high = min(0.0, float(np.nanmin(shown))), float(np.nanmax(shown))
    air = 0.03 * (high - low)
    return low - air, high + air


def _panel(axes: Axes, rows: pd.DataFrame, lines: list[tuple[str, str]]) -> None:
    """Draw one case: dots on each layer's line, shifted by kind."""
    at = {line: number for number, line in enumerate(lines)}
    for kind in ("test", "train"):
        part = rows[rows["subset"] == kind]
        _dots(axes, kind, part, at, part["mean"], part["mean"] - part["ci_low"])
    printed = rows[(rows["subset"] == "test") & rows["paper"].notna()]
    _dots(axes, "paper", printed, at, printed["paper"], None)
    axes.set_ylim(-0.5, len(lines) - 0.5)
    for number in range(0, len(lines), 2):
        axes.axhspan(number - 0.5, number + 0.5, color="0.95", zorder=0, linewidth=0)
    axes.grid(axis="x", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def _dots(
    axes: Axes,
    kind: str,
    rows: pd.DataFrame,
    at: Mapping[tuple[str, str], int],
    values: "pd.Series[float]",
    errors: "pd.Series[float] | None",
) -> None:
    heights = [
        at[line] + OFFSETS[kind] for line in zip(rows["network"], rows["layer"], strict=True)
    ]
    axes.errorbar(
        values, heights, xerr=errors, linestyle="none", label=LABELS[kind], markersize=5.5,
        elinewidth=1.4, capsize=2.5, **MARKS[kind],
    )  # fmt: skip
