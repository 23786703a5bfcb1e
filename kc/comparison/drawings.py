"""Draw the shares of a comparison, and the heatmaps of a comparison of many layers."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kc.report.curves import HEIGHT, LINES, WIDTH
from kc.report.figures import STYLE, literal
from kc.report.heat import HeatMap, HeatMeasure

PANELS = {
    "xdelta_b": "of b's layer, given by a's (g)",
    "xdelta_a": "of a's layer, given by b's (g)",
    "linear_flattened_b": "of b's layer, by a linear map",
    "linear_flattened_a": "of a's layer, by a linear map",
    "cka": "linear CKA",
    "neighbours_flattened": "shared neighbours",
}
"""Titles of the heatmaps, by column; those that the table lacks are not drawn."""
SIMILAR = ("cka", "neighbours_flattened")
"""Columns that are 1 if layers are alike; the others are shares that are missing."""
ACROSS = 2
"""Heatmaps side by side."""
CELL = 0.34
"""Largest side of a cell in inches."""
WIDEST = 14.0
"""Most inches of a heatmap: of many layers, cells are smaller and only some are named."""
NAME = 0.13
"""Inches that a name on an axis needs."""
NUMBERED = 24
"""Most cells per side with numbers written in them."""


def orders_figure(shares: pd.DataFrame, networks: Mapping[str, Any]) -> Figure:
    """Draw the shares of the orders and of x^Delta on test images, a colour for each direction.

    ``networks``: by letter, the origin of each side with its ``name`` and ``layer``.
    """
    held = shares[shares["subset"] == "test"]
    parts = [name for name in map(str, held) if re.fullmatch(r"x\d+", name)] + ["xdelta"]
    names = {letter: f"{networks[letter]['name']}, {networks[letter]['layer']}" for letter in "ab"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.6 * WIDTH, HEIGHT))
        axes = figure.subplots()
        for place, row in enumerate(held.to_dict("records")):
            at = np.arange(len(parts)) + (place - (len(held) - 1) / 2) * 0.38
            bars = axes.bar(
                at,
                [row[part] for part in parts],
                0.34,
                color=LINES[place]["color"],
                label=literal(f"{row['target']} ({names[row['target']]}) from {row['source']}"),
            )
            axes.bar_label(bars, fmt="%.3f", fontsize=6, padding=1)
        axes.set_xticks(range(len(parts)), [_told(part) for part in parts])
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("share of Var(x*)")
        axes.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
        figure.set_layout_engine("constrained")
    return figure


def _told(part: str) -> str:
    return r"x$^\Delta$" if part == "xdelta" else f"x$^{{({part[1:]})}}$"


def matrix_figure(table: pd.DataFrame, networks: Mapping[str, Any]) -> Figure:
    """Draw the table's measures, and 1 - its shares, all from 0 to 1: a heatmap each.

    ``networks``: by letter, the origin of each side with its ``name``.
    """
    rows, columns = (list(dict.fromkeys(table[f"layer_{letter}"])) for letter in "ab")
    names = {letter: networks[letter]["name"] for letter in "ab"}
    drawn = {name: title for name, title in PANELS.items() if name in table}
    across = min(ACROSS, len(drawn))
    down = -(-len(drawn) // across)
    with mpl.rc_context(STYLE):
        label = 0.075 * max(map(len, rows)) + 0.4
        below = 0.075 * max(map(len, columns)) + 0.5
        side = cell_side(len(rows), len(columns))
        width, height = max(2.2, side * len(columns)), max(1.2, side * len(rows))
        size = label + across * (width + 0.35) + 0.6, down * (height + 0.4) + below + 0.1
        figure = Figure(figsize=size)
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes, (column, title) in zip(panels.flat, drawn.items(), strict=False):
            values = _wide(table, column, rows, columns)
            heat(axes, values if column in SIMILAR else 1 - values)
            axes.set_title(title, loc="left", fontsize=9)
        name_cells(panels, rows, columns)
        for axes in panels[-1]:
            axes.set_xlabel(literal(f"b: {names['b']}"))
        for axes in panels[:, 0]:
            axes.set_ylabel(literal(f"a: {names['a']}"))
        figure.colorbar(panels[0, 0].images[0], ax=panels, fraction=0.02, pad=0.01)
        figure.set_layout_engine("constrained")
    return figure


def cell_side(rows: int, columns: int) -> float:
    """Return the side of a heatmap's cells, inches."""
    return min(CELL, WIDEST / max(rows, columns))


def name_cells(panels: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Name the rows and columns of heatmaps that share their axes, as many as have room."""
    each = max(1, math.ceil(NAME / cell_side(len(rows), len(columns))))
    for axes in panels[-1]:
        named = range(0, len(columns), each)
        axes.set_xticks(named, [literal(columns[at]) for at in named], rotation=90)
    for axes in panels[:, 0]:
        named = range(0, len(rows), each)
        axes.set_yticks(named, [literal(rows[at]) for at in named])


def layer_heat(table: pd.DataFrame, networks: Mapping[str, Any]) -> HeatMap:
    """Return the same numbers for the page, each beside its calibrated value."""
    rows, columns = (list(dict.fromkeys(table[f"layer_{letter}"])) for letter in "ab")
    measures = []
    for name, title in PANELS.items():
        if name in table:
            raw = _wide(table, name, rows, columns)
            own = f"{name}_calibrated"
            calibrated = _wide(table, own, rows, columns) if own in table else None
            measures.append(HeatMeasure(title, raw if name in SIMILAR else 1 - raw, calibrated))
    titles = [f"{letter}: {networks[letter]['name']}" for letter in "ab"]
    return HeatMap("layers", (titles[0], rows), (titles[1], columns), measures)


def _wide(table: pd.DataFrame, name: str, rows: list[str], columns: list[str]) -> np.ndarray:
    wide = table.pivot_table(index="layer_a", columns="layer_b", values=name, dropna=False)
    return wide.reindex(index=rows, columns=columns).to_numpy(float)


def heat(axes: Axes, values: np.ndarray) -> None:
    """Draw cells from 0 (pale) to 1, with their numbers if there is room; unknown cells grey."""
    axes.imshow(values, cmap="viridis_r", vmin=0, vmax=1, aspect="auto")
    axes.set_facecolor("0.85")
    axes.tick_params(length=0)
    if max(values.shape) > NUMBERED:
        return
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value > 0.5 else "black"
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour
            )
