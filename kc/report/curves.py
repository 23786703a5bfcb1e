"""Draw curves: a line for each layer (or network), with its own colour, marker and line style.

Points may have intervals and be means of single values (of chains of networks), drawn as dots.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas.api.types import is_integer_dtype

from kc.errors import SettingsError
from kc.report.figures import STYLE

LINES: tuple[Mapping[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    {"color": "#009E73", "marker": "^", "linestyle": "-."},
    {"color": "#CC79A7", "marker": "D", "linestyle": ":"},
    {"color": "#000000", "marker": "v", "linestyle": (0, (5, 1))},
    {"color": "#56B4E9", "marker": "P", "linestyle": (0, (3, 1, 1, 1))},
    {"color": "#E69F00", "marker": "X", "linestyle": (0, (1, 1))},
)
"""Palette of Okabe and Ito without its yellow, which is too pale on white."""
ALONE: Mapping[str, Any] = {"color": "0.35", "marker": "o", "linestyle": "-"}
WIDTH, HEIGHT, LEGEND_LINE = 3.5, 2.55, 0.2
"""Size of a panel, and of a line of the legend, in inches."""


class CurveAxis(NamedTuple):
    """Column and label of an axis."""

    column: str
    """Column of the frame; numbers in the unit of the label."""
    label: str


def curves_figure(
    frame: pd.DataFrame,
    x: CurveAxis,
    y: CurveAxis,
    hue: str,
    labels: Mapping[Any, str],
    y2: CurveAxis | None = None,
    single: pd.DataFrame | None = None,
    along: str = "",
) -> Figure:
    """Draw ``y`` against ``x``, a line for each value of ``hue``; ``y2`` in a second panel.

    E.g. [L20, Fig. 4]: Var(x^Delta) / Var(x*) against the removed share of the parameters, a line
    for each layer, and the accuracy. The left axis includes 0, as it shows a share; the right one
    fits its values. If ``y2`` is the same for every line (an accuracy does not depend on the
    layer), it is drawn once, in grey.

    Parameters
    ----------
    frame
        One row for each point. Points without a value (NaN) are left out. Lines have the order of
        the first rows of ``hue``. Columns NAME_low and NAME_high beside an axis's column NAME are
        the ends of its intervals.
    labels
        Names of values of ``hue`` in the legend; others keep their own name.
    single
        Single values of which the points are means: the axes' columns and ``hue``.
    along
        Column in whose order points are joined; empty: that of the x axis.

    Raises
    ------
    SettingsError
        The frame lacks a column, has no rows, rows without a line, too many lines, or two points
        of one line at the same place along it.
    """
    shown = [y] if y2 is None else [y, y2]
    order = along or x.column
    _check(frame, order, [x.column, *(axis.column for axis in shown)], hue)
    values = list(frame[hue].unique())
    names = [labels.get(value, str(value)) for value in values]
    columns = _columns(names, WIDTH * len(shown))
    with mpl.rc_context(STYLE):
        height = HEIGHT + LEGEND_LINE * -(-len(names) // columns)
        figure = Figure(figsize=(WIDTH * len(shown), height))
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, axis in zip(panels, shown, strict=True):
            at = (x.column, axis.column)
            points = frame.dropna(subset=list(at)).sort_values(order)
            if axis == y2 and _is_shared(points[[x.column, hue, axis.column]], len(values)):
                first = None if single is None else single[single[hue] == values[0]]
                _line(axes, points[points[hue] == values[0]], at, ALONE, first)
            else:
                for value, style in zip(values, LINES, strict=False):
                    some = None if single is None else single[single[hue] == value]
                    _line(axes, points[points[hue] == value], at, style, some)
            _dress(axes, x.label, axis.label, is_integer_dtype(frame[x.column]))
        low, high = panels[0].get_ylim()
        panels[0].set_ylim(low if frame[y.column].min() < 0 else 0, max(high, 0))
        figure.legend(
            panels[0].lines, names, loc="outside lower center", ncols=columns, frameon=False,
            handlelength=2.8,
        )  # fmt: skip
        figure.set_layout_engine("constrained")
    return figure


def _is_shared(points: pd.DataFrame, lines: int) -> bool:
    """Return whether each of several lines has the same value at every x; columns x, hue, value."""
    x, _, column = points.columns
    at = points.groupby(x)[column]
    return lines > 1 and bool((at.min() == at.max()).all() and (at.size() == lines).all())


def _line(
    axes: Axes,
    points: pd.DataFrame,
    at: tuple[str, str],
    style: Mapping[str, Any],
    single: pd.DataFrame | None,
) -> None:
    """Draw a line with the intervals of its points, and their single values as small dots."""
    x, y = at
    axes.plot(
        points[x], points[y], markersize=6.5, linewidth=1.4, markeredgecolor="white",
        markeredgewidth=0.5, clip_on=False, zorder=3, **style,
    )  # fmt: skip
    across, upright = _errors(points, x), _errors(points, y)
    if across is not None or upright is not None:
        axes.errorbar(
            points[x], points[y], xerr=across, yerr=upright, fmt="none", ecolor=style["color"],
            elinewidth=0.9, zorder=2,
        )  # fmt: skip
    if single is not None:
        axes.scatter(single[x], single[y], s=7, color=style["color"], alpha=0.55, linewidths=0)


def _errors(points: pd.DataFrame, name: str) -> list[pd.Series] | None:
    """Return how far the interval reaches to both sides of each point; None if there is none."""
    low, high = f"{name}_low", f"{name}_high"
    if low not in points or points[low].isna().all():
        return None
    return [points[name] - points[low], points[high] - points[name]]


def _dress(axes: Axes, xlabel: str, title: str, whole: bool) -> None:
    """Label a panel; ``whole``: put ticks at whole numbers only."""
    axes.set_xlabel(xlabel)
    axes.set_title(title, loc="left", fontsize=9)
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.tick_params(axis="y", length=0)


def _columns(names: list[str], width: float) -> int:
    """Fit the legend's columns to ``width`` inches, by its longest name."""
    return max(1, min(len(names), int(width / (0.07 * max(map(len, names)) + 0.65))))


def _check(frame: pd.DataFrame, x: str, shown: list[str], hue: str) -> None:
    missing = [name for name in (x, hue, *shown) if name not in frame]
    if missing:
        raise SettingsError(
            f"columns {missing} are not in the frame, which has {list(frame.columns)}. "
            "Fix: name columns it has."
        )
    if frame.empty or frame[hue].isna().any():
        raise SettingsError(
            f"{len(frame)} rows, {frame[hue].isna().sum()} of them without a {hue}; expected at "
            "least one, each with a line. Fix: drop the others, or record what is missing."
        )
    lines = frame[hue].nunique()
    if lines > len(LINES):
        raise SettingsError(
            f"{hue}: {lines} lines; at most {len(LINES)} can be distinguished. "
            "Fix: draw fewer in one figure."
        )
    twice = frame[frame.duplicated([hue, x])]
    if len(twice):
        first = twice.iloc[0]
        raise SettingsError(
            f"two points of {hue} '{first[hue]}' at {x} {first[x]}; expected one. "
            "Fix: average them first, or draw one network at a time."
        )
