"""Write the comparison of many layers: a long table and a heatmap for each measure.

``kc compare --layers`` writes, in the folder of ``--out``:

``tables/matrix.csv`` (and .md, .tex, .json)
    One row for each pair of layers: ``layer_a``, ``form_a``, ``shape_a``, the same for b; with
    ``--fits best`` or ``all``, ``xdelta_b``: share of Var(b's layer) that g does not give from
    a's (FVU), test images, with ``x0_b`` .. ``xK_b`` and ``xdelta_b_train``; ``xdelta_a`` ..:
    from b's layer; ``cka``, ``neighbours_flattened``, ``linear_flattened_b``,
    ``linear_flattened_a``, each with ``_calibrated``, similarities with ``p_``.
``tables/references.csv``
    For each layer of each side: what the pixels and the other side's untrained network give.
``figures/matrix.png``, ``figures/matrix.svg``
    Heatmaps of these, shares as what is given; rows: a, columns: b.
``activations/``, ``fits/``, ``pictures.zarr``
    As in :mod:`kc.comparison.write_pair`; a fit is named ``b.LAYER-from-a.LAYER``.
"""

from pathlib import Path

from kc.comparison import Matrix
from kc.comparison.drawings import layer_heat
from kc.comparison.outputs import claim_outputs, names_of
from kc.comparison.shown import matrix_text, share_columns
from kc.report.figures import write_figure
from kc.report.page import Drawing, PageSection, write_page
from kc.report.tables import TableText, write_table

TABLES = ("matrix", "references")
CAPTION = (
    "Share of the variance of a layer that the other side's layer gives, 1 - missing share = R^2, "
    "in both directions, by g (if fitted) and by a linear map of flattened features; linear CKA "
    "(debiased); share of common nearest neighbours. Test images. Grey: not compared."
)

REFERENCES = (
    "Pixels (at most 32 px) and the other side's network without training (its best layer by each "
    "measure): what they give of a layer is no knowledge of the other network. Test images; "
    "linear_flattened: the share that is missed."
)


def write_matrix(found: Matrix, folder: Path | str) -> Path:
    """Write table (csv, md, tex, json), heatmaps (png, svg) and page; return the page's path."""
    out = Path(folder)
    claim_outputs(out, names_of(TABLES, ["matrix"]))
    write_table(
        found.table,
        out / "tables" / "matrix",
        matrix_text(found.notes),
        provenance=found.provenance,
        columns=share_columns(found.table),
    )
    folded = []
    is_left_out = found.references is not None and found.references.empty
    left_out = ["Left out, as the linear maps are: too many images."] if is_left_out else []
    if found.references is not None:
        folded.append(out / "tables" / "references")
        write_table(
            found.references,
            folded[0],
            TableText("What references give of each layer", REFERENCES, left_out),
            provenance=found.provenance,
            columns=share_columns(found.references),
        )
    figure = out / "figures" / "matrix"
    write_figure(found.plot(), figure)
    names = found.provenance["networks"]
    return write_page(
        out,
        title=f"{names['a']['name']} and {names['b']['name']}, layer by layer",
        lead=found.answer,
        sections=[
            PageSection(
                "matrix", "Layer by layer", "", [out / "tables" / "matrix"],
                [Drawing(figure, CAPTION)], folded, heats=[layer_heat(found.table, names)],
            )
        ],
        views=[],
    )  # fmt: skip
