"""Draw the comparison of many models: heatmaps, and the tree of models."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from kc.comparison.drawings import ACROSS, cell_side, heat, name_cells
from kc.comparison.model_tables import CALIBRATED, NEAR, SHARES, Tree, square, tree_of
from kc.report.figures import STYLE, literal
from kc.report.heat import HeatMap, HeatMeasure

TITLES = {
    "cka": "CKA, 0 as permuted images",
    "neighbours_flattened": "shared neighbours, 0 as permuted images",
    "linear_flattened": "share a linear map gives",
    "xdelta": "share g gives",
}
"""Titles of the heatmaps, by measure."""
HEATS = {
    "cka": "CKA",
    "neighbours_flattened": "shared neighbours",
    "linear_flattened": "share a linear map gives",
    "xdelta": "share g gives",
}
"""The same on the page, which shows raw and calibrated values."""


def models_figure(models: pd.DataFrame) -> Figure:
    """Draw each measure as a heatmap, shares as what is given; models in the order of the tree.

    ``models``: from :func:`kc.comparison.model_tables.condensed`.
    """
    tree = tree_of(models)
    drawn = [name for name, column in NEAR.items() if column in models]
    squares = {name: square(models, NEAR[name]) for name in drawn}
    first = next(iter(squares.values()))
    columns = tree.order if tree else list(first.columns)
    rows = [*columns, *(name for name in first.index if name not in columns)]
    across = min(ACROSS, len(drawn))
    down = -(-len(drawn) // across)
    with mpl.rc_context(STYLE):
        label = 0.075 * max(map(len, rows))
        side = cell_side(len(rows), len(columns))
        width, height = max(2.2, side * len(columns)), max(1.2, side * len(rows))
        size = label + across * (width + 0.35) + 0.8, down * (height + 0.5) + label + 0.5
        figure = Figure(figsize=size)
        panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes, name in zip(panels.flat, drawn, strict=False):
            values = squares[name].reindex(index=rows, columns=columns).to_numpy()
            heat(axes, 1 - values if name in SHARES else values)
            axes.set_title(TITLES[name], loc="left", fontsize=9)
        for axes in list(panels.flat)[len(drawn) :]:
            axes.set_axis_off()
        name_cells(panels, rows, columns)
        for axes in panels[-1]:
            axes.set_xlabel("target")
        for axes in panels[:, 0]:
            axes.set_ylabel("source")
        figure.colorbar(panels[0, 0].images[0], ax=panels, fraction=0.02, pad=0.01)
        figure.set_layout_engine("constrained")
    return figure


def model_heat(models: pd.DataFrame) -> HeatMap:
    """Return the heatmaps of models for the page, raw beside calibrated."""
    measures = []
    names: tuple[list[str], list[str]] = ([], [])
    for name in NEAR:
        if name not in models:
            continue
        wide = square(models, name)
        names = (list(wide.index), list(wide.columns))
        own = f"{name}{CALIBRATED}"
        raw = wide.to_numpy(float)
        calibrated = square(models, own).to_numpy(float) if own in models else None
        measures.append(HeatMeasure(HEATS[name], 1 - raw if name in SHARES else raw, calibrated))
    return HeatMap("models", ("source", names[0]), ("target", names[1]), measures)


def tree_figure(tree: Tree) -> Figure:
    """Draw the tree of models; the axis is 1 - CKA, calibrated."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.6 + 0.28 * len(tree.names)))
        axes = figure.subplots()
        names = np.array([literal(name) for name in tree.names])
        hierarchy.dendrogram(
            tree.links, labels=list(names), orientation="left", ax=axes, color_threshold=0,
            above_threshold_color="0.2",
        )  # fmt: skip
        axes.set_xlabel("1 - CKA (calibrated), average linkage")
        axes.tick_params(axis="y", labelsize=8, length=0)
        figure.set_layout_engine("constrained")
    return figure
