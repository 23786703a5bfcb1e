"""Draw a table as dots: a line for each row, its mean with interval, single values, the paper's."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kc.report.figures import STYLE, literal

# palette of Okabe and Ito; shape and fill differ as well as the colour
MARKS: tuple[Mapping[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o", "markerfacecolor": "#0072B2"},
    {"color": "#D55E00", "marker": "s", "markerfacecolor": "white"},
    {"color": "#009E73", "marker": "^", "markerfacecolor": "#009E73"},
    {"color": "#CC79A7", "marker": "v", "markerfacecolor": "white"},
    {"color": "#56B4E9", "marker": "P", "markerfacecolor": "#56B4E9"},
    {"color": "#E69F00", "marker": "X", "markerfacecolor": "white"},
)
"""Marks of the groups, in the order in which they first occur."""
PAPER: Mapping[str, Any] = {
    **{"color": "#000000", "marker": "D", "markerfacecolor": "none", "linestyle": "none"}
}
BELOW = 0.28
"""Single values are drawn this far below their interval, which would hide them."""
LINE, WIDTH = 0.24, 6.4
"""Height of a row and width of the figure, inches."""


class DotRow(NamedTuple):
    """A row of a table."""

    label: str
    """Rows that follow each other with the same label share a line of the axis."""
    mean: float
    low: float = math.nan
    """Lower end of the 95 % interval; NaN if there is none."""
    high: float = math.nan
    dots: Sequence[float] = ()
    """Values of single pairs or networks."""
    paper: float = math.nan
    """Printed value, if there is one."""
    group: str = ""
    """Name in the legend."""


def dots_figure(rows: Sequence[DotRow], axis: str, zero: bool = False) -> Figure:
    """Draw rows from top to bottom.

    Parameters
    ----------
    rows
        At least one; at most six groups.
    axis
        Label of the values.
    zero
        Mark 0, for gains and differences.
    """
    groups = list(dict.fromkeys(row.group for row in rows))
    assert rows, "no rows to draw"
    assert len(groups) <= len(MARKS), f"{len(groups)} groups, more than the marks"
    marks = dict(zip(groups, MARKS, strict=False))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, LINE * len(rows) + 1.0))
        axes = figure.subplots()
        if zero:
            axes.axvline(0, color="0.5", linewidth=0.8, zorder=1)
        for height, row in enumerate(rows):
            _draw(axes, row, height, marks[row.group])
        _dress(axes, rows, axis)
        handles = [_handle(group, marks[group]) for group in groups if group]
        handles += [Line2D([], [], label="as printed", **PAPER)] if _has_paper(rows) else []
        if handles:
            figure.legend(
                handles=handles, loc="outside upper center", ncols=min(4, len(handles)),
                frameon=False,
            )  # fmt: skip
        figure.set_layout_engine("constrained")
    return figure


def _draw(axes: Axes, row: DotRow, height: int, mark: Mapping[str, Any]) -> None:
    axes.plot(
        row.dots, np.full(len(row.dots), height + BELOW), linestyle="none", marker="o",
        markersize=3, color=mark["color"], alpha=0.6, markeredgewidth=0, zorder=2,
    )  # fmt: skip
    ends = [[row.mean - row.low], [row.high - row.mean]]
    axes.errorbar(
        [row.mean], [height], xerr=None if math.isnan(row.low) else ends, linestyle="none",
        markersize=5.5, elinewidth=1.4, capsize=2.5, zorder=3, **mark,
    )  # fmt: skip
    if not math.isnan(row.paper):
        axes.plot([row.paper], [height], markersize=5.5, zorder=4, **PAPER)


def _dress(axes: Axes, rows: Sequence[DotRow], axis: str) -> None:
    """Label each run of rows of one label at its middle, with a band behind every second run."""
    runs: list[list[int]] = []
    for height, row in enumerate(rows):
        if runs and rows[runs[-1][0]].label == row.label:
            runs[-1].append(height)
        else:
            runs.append([height])
    for band in runs[::2]:
        axes.axhspan(band[0] - 0.5, band[-1] + 0.5, color="0.95", zorder=0, linewidth=0)
    labels = [literal(rows[run[0]].label) for run in runs]
    axes.set_yticks([sum(run) / len(run) for run in runs], labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(axis)
    axes.grid(axis="x", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def _handle(group: str, mark: Mapping[str, Any]) -> Line2D:
    return Line2D([], [], linestyle="none", label=literal(group), **mark)


def _has_paper(rows: Sequence[DotRow]) -> bool:
    return any(not math.isnan(row.paper) for row in rows)
