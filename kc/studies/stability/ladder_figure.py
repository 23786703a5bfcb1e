"""Draw the ladder: for each layer missing shares by field, and shares along lambda."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kc.report.curves import LINES
from kc.report.figures import STYLE
from kc.studies.stability.notes import path_of

WIDTH, HEIGHT = 7.2, 1.75
"""Width of the figure and height of a row, in inches."""
MAPS = {"linear": LINES[1], "g": LINES[0], "flattened": LINES[2]}
LABELS = {
    "linear": "linear map of the field",
    "g": "g",
    "flattened": "linear map of whole images",
}


def ladder_figure(ladder: pd.DataFrame, penalties: Mapping[tuple[str, str], float]) -> Figure:
    """Draw a row for each layer: missing shares against the field; shares against lambda.

    Parameters
    ----------
    ladder
        From :func:`kc.studies.stability.numbers.stability_tables`.
    penalties
        Lambda of the fits on the left, by network and layer.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(penalties) + 0.8))
        panels = figure.subplots(len(penalties), 2, squeeze=False, sharex="col")
        for (left, right), (at, penalty) in zip(panels, penalties.items(), strict=True):
            rows = ladder[(ladder["network"] == at[0]) & (ladder["layer"] == at[1])]
            _fields(left, rows, penalty)
            _path(right, path_of(rows).sort_values("penalty"))
            left.set_title(f"{at[0]}, {at[1]}: missing share of Var(x*)", loc="left", fontsize=9)
            right.set_title("shares of Var(x*)", loc="left", fontsize=9)
        panels[-1][0].set_xlabel("side of the field, positions")
        panels[-1][1].set_xlabel("lambda")
        maps, parts = (_drawn(panels[:, column]) for column in range(2))
        style: dict[str, Any] = {"fontsize": 8, "frameon": False}
        figure.legend(maps.values(), maps.keys(), loc="outside lower left", **style)
        figure.legend(parts.values(), parts.keys(), loc="outside lower right", ncols=2, **style)
        figure.set_layout_engine("constrained")
    return figure


def _drawn(panels: Iterable[Axes]) -> dict[str, Artist]:
    """Return the artists of some panels by label."""
    found: dict[str, Artist] = {}
    for axes in panels:
        lines, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, lines, strict=True))
    return found


def _fields(axes: Axes, rows: pd.DataFrame, penalty: float) -> None:
    """Draw missing shares of linear maps and g by field; a horizontal line for whole images."""
    own = rows[(rows["map"] == "g") & (rows["penalty"] == penalty)]
    for name, some in (("linear", rows[rows["map"] == "linear"]), ("g", own)):
        axes.plot(some["field"], some["xdelta"], label=LABELS[name], **MAPS[name])
    whole = rows[rows["map"] == "flattened"]
    if len(whole):
        style = {**MAPS["flattened"], "marker": ""}
        axes.axhline(whole["xdelta"].iloc[0], label=LABELS["flattened"], **style)
    axes.set_xticks(sorted(set(rows["field"].dropna())))
    _dress(axes)


def _path(axes: Axes, path: pd.DataFrame) -> None:
    """Draw shares of x^Delta and of the orders, at evenly spaced values of lambda."""
    at = np.arange(len(path))
    parts = ["xdelta", *(name for name in map(str, path) if re.fullmatch(r"x\d+", name))]
    for part, style in zip(parts, LINES, strict=False):
        axes.plot(at, path[part], label=part, **style)
    axes.set_xticks(at, [f"{penalty:g}" for penalty in path["penalty"]])
    _dress(axes)


def _dress(axes: Axes) -> None:
    for line in axes.lines:
        line.set(markersize=5, linewidth=1.3)
    axes.margins(x=0.08, y=0.1)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.tick_params(axis="y", length=0)
