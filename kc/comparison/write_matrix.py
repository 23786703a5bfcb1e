"""Write the comparison of many layers: a long table and three heatmaps.

``kc compare --layers`` writes, in the folder of ``--out``:

``tables/matrix.csv`` (and .md, .tex, .json)
    One row for each pair of layers: ``layer_a``, ``form_a``, ``shape_a``, the same for b;
    ``xdelta_b``: share of Var(b's layer) that g does not give from a's (FVU), test images, with
    ``x0_b`` .. ``xK_b`` and ``xdelta_b_train``; ``xdelta_a`` ..: from b's layer; ``cka``.
``figures/matrix.png``, ``figures/matrix.svg``
    Shares of b's layers given by a's, and of a's by b's, CKA; rows: a, columns: b.
``activations/``, ``fits/``, ``pictures.zarr``
    As in :mod:`kc.comparison.write_pair`; a fit is named ``b.LAYER-from-a.LAYER``.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kc.comparison import Matrix
from kc.comparison.outputs import claim_outputs, names_of
from kc.report.figures import STYLE, literal, write_figure
from kc.report.page import Drawing, PageSection, write_page
from kc.report.tables import Column, TableText, write_table

PANELS = {
    "xdelta_b": "of b's layer, given by a's",
    "xdelta_a": "of a's layer, given by b's",
    "cka": "linear CKA",
}
CAPTION = (
    "Share of the variance of a layer that g gives from the other side's layer, 1 - Var(x^Delta) / "
    "Var(x*) = R^2, in both directions, and linear CKA (debiased, by minibatch); test images. "
    "Grey: not compared."
)
CELL = 0.34
"""Side of a cell in inches."""
NUMBERED = 24
"""Most cells per side with numbers written in them."""


def write_matrix(found: Matrix, folder: Path | str) -> Path:
    """Write table (csv, md, tex, json), heatmaps (png, svg) and page; return the page's path."""
    out = Path(folder)
    claim_outputs(out, names_of(["matrix"], ["matrix"]))
    shares = {name: Column(name, ".3f") for name in map(str, found.table)}
    write_table(
        found.table,
        out / "tables" / "matrix",
        TableText(
            title="Layers reconstructed from each other",
            caption="Test images; xdelta: share of the variance that g does not give from the "
            "other side's layer.",
            notes=found.notes,
        ),
        provenance=found.provenance,
        columns=shares,
    )
    figure = out / "figures" / "matrix"
    write_figure(matrix_figure(found), figure)
    names = found.provenance["networks"]
    return write_page(
        out,
        title=f"{names['a']['name']} and {names['b']['name']}, layer by layer",
        lead=best(found),
        sections=[
            PageSection(
                "matrix", "Layer by layer", "", [out / "tables" / "matrix"],
                [Drawing(figure, CAPTION)],
            )
        ],
        views=[],
    )  # fmt: skip


def best(found: Matrix) -> str:
    """Return a sentence on the pair of layers with the largest share, in each direction."""
    told = []
    for target, source in ("ba", "ab"):
        if found.table[f"xdelta_{target}"].isna().all():
            continue
        row = found.table.iloc[int(found.table[f"xdelta_{target}"].argmin())]
        told.append(
            f"{row[f'layer_{source}']} of {source} gives {100 * (1 - row[f'xdelta_{target}']):.1f} "
            f"% of the variance of {row[f'layer_{target}']} of {target}"
        )
    return f"The largest shares given, on test images: {'; '.join(told)}."


def matrix_figure(found: Matrix) -> Figure:
    """Draw 1 - xdelta of both directions and CKA, all from 0 to 1, side by side."""
    rows, columns = (list(dict.fromkeys(found.table[f"layer_{letter}"])) for letter in "ab")
    names = {letter: found.provenance["networks"][letter]["name"] for letter in "ab"}
    with mpl.rc_context(STYLE):
        label = 0.075 * max(map(len, rows)) + 0.4
        below = 0.075 * max(map(len, columns)) + 0.5
        width, height = max(2.2, CELL * len(columns)), max(1.2, CELL * len(rows))
        figure = Figure(figsize=(label + 3 * (width + 0.35) + 0.6, height + below + 0.5))
        panels = figure.subplots(1, len(PANELS), sharey=True, squeeze=False)[0]
        for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
            values = found.table.pivot_table(
                index="layer_a", columns="layer_b", values=column, dropna=False
            ).reindex(index=rows, columns=columns)
            shown = values.to_numpy() if column == "cka" else 1 - values.to_numpy()
            _heat(axes, shown)
            axes.set_title(title, loc="left", fontsize=9)
            axes.set_xticks(range(len(columns)), map(literal, columns), rotation=90)
            axes.set_xlabel(literal(f"b: {names['b']}"))
        panels[0].set_yticks(range(len(rows)), map(literal, rows))
        panels[0].set_ylabel(literal(f"a: {names['a']}"))
        figure.colorbar(panels[-1].images[0], ax=list(panels), fraction=0.02, pad=0.01)
        figure.set_layout_engine("constrained")
    return figure


def _heat(axes: Axes, values: np.ndarray) -> None:
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
