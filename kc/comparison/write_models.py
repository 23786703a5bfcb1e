"""Write the comparison of many models: tables, heatmaps, tree and page.

``kc compare --models`` writes, in the folder of ``--out``:

``tables/models.csv`` (and .md, .tex, .json)
    One row for each source and target: ``kind`` of the source (model, untrained, pixels), cka,
    neighbours_flattened, linear_flattened, each with ``_calibrated``, similarities with ``p_``;
    with ``--fits``, ``xdelta`` and ``xdelta_train``.
``tables/nearest.csv``
    The nearest other model of each model by each measure, and what references give.
``tables/model_layers.csv``
    The same as ``models`` for each pair of layers.
``figures/models.png``, ``figures/tree.png`` (and .svg)
    Heatmaps; the tree of models by average linkage of CKA.
"""

from pathlib import Path

from kc.comparison.model_figures import model_heat, tree_figure
from kc.comparison.model_tables import tree_of
from kc.comparison.models import ModelMatrix
from kc.comparison.outputs import claim_outputs, names_of
from kc.comparison.shown import NEAREST, share_columns
from kc.report.figures import write_figure
from kc.report.page import Drawing, PageSection, write_page
from kc.report.tables import TableText, write_table

TABLES = ("models", "nearest", "model_layers")
FIGURES = ("models", "tree")
CAPTIONS = {
    "models": "Each source (row) and target (column): similarities of 0 are those of permuted "
    "images; shares are what is given of the target's variance. Below: untrained networks and "
    "pixels. Test images. Grey: not compared.",
    "tree": "Models joined by average linkage of 1 - CKA.",
}
MEANS = (
    "With several layers each value is the mean over the target's layers of the best over the "
    "source's."
)


def write_models(found: ModelMatrix, folder: Path | str) -> Path:
    """Write tables (csv, md, tex, json), figures (png, svg) and page; return the page's path."""
    out = Path(folder)
    claim_outputs(out, names_of(TABLES, FIGURES))
    several = bool((found.table["layer_pairs"] > 1).any())
    frames = {
        "models": (
            found.table,
            "Models compared with each other",
            "Test images; linear_flattened and xdelta are shares of the target's variance that "
            "the source does not give; cka and neighbours are 1 if alike.",
            [*([MEANS] if several else []), *found.notes],
        ),
        "nearest": (
            found.nearest,
            *NEAREST,
        ),
        "model_layers": (found.layers, "Models, by pair of layers", "", []),
    }
    for name, (frame, title, caption, notes) in frames.items():
        write_table(
            frame,
            out / "tables" / name,
            TableText(title, caption, notes),
            provenance=found.provenance,
            columns=share_columns(frame),
        )
    write_figure(found.plot(), out / "figures" / "models")
    drawings = [Drawing(out / "figures" / "models", CAPTIONS["models"])]
    tree = tree_of(found.table)
    if tree is not None:
        write_figure(tree_figure(tree), out / "figures" / "tree")
        drawings.append(Drawing(out / "figures" / "tree", CAPTIONS["tree"]))
    names = list(dict.fromkeys(found.table["target"]))
    return write_page(
        out,
        title=f"{len(names)} models",
        lead=found.answer,
        sections=[
            PageSection(
                "models", "Models", "", [out / "tables" / "models", out / "tables" / "nearest"],
                drawings, [out / "tables" / "model_layers"], [model_heat(found.table)],
            )
        ],
        views=[],
    )  # fmt: skip
