"""Texts and columns of the tables of a comparison, for its files and for a notebook."""

from collections.abc import Sequence

import pandas as pd

from kc.report.fragment import html_fragment
from kc.report.tables import Column, TableText, table_cells
from kc.similarity.measures import NAMES

MEASURE_COLUMNS = {name: Column(name.replace("_", " "), ".3f") for name in NAMES}
"""Columns of the table of similarity measures."""

NEAREST = TableText(
    "Nearest models",
    "The nearest other model by each measure; beside it, what the best untrained network and the "
    "pixels give.",
    [],
)


def share_columns(frame: pd.DataFrame) -> dict[str, Column]:
    """Return the columns of a table of shares: three decimals."""
    named = {
        "xdelta": Column("xdelta: share g does not give", ".3f"),
        "positions_per_weight": Column("positions per weight of g", ".1f"),
    }
    return {name: named.get(name, Column(name, ".3f")) for name in map(str, frame)}


def shares_text(shares: pd.DataFrame, notes: Sequence[str]) -> TableText:
    """Return title, caption and notes of the table of shares."""
    return TableText(
        title="What g gives of each layer", caption=share_sentence(shares), notes=notes
    )


def measures_text(notes: Sequence[str]) -> TableText:
    """Return title, caption and notes of the table of similarity measures."""
    return TableText(
        title="Similarity measures of the same layers",
        caption="Test images. linear_share is a share like xdelta; the others are 1 if "
        "features are alike.",
        notes=notes,
    )


def matrix_text(notes: Sequence[str]) -> TableText:
    """Return title, caption and notes of the table of many layers."""
    return TableText(
        title="Layers compared with each other",
        caption="Test images; shares are of the variance that the other side's layer does not "
        "give: linear_flattened by a linear map, xdelta (if fitted) by g. cka and neighbours are "
        "1 if layers are alike.",
        notes=notes,
    )


def share_sentence(shares: pd.DataFrame) -> str:
    """Return a sentence with the shares of both directions on test images."""
    held = shares[shares["subset"] == "test"]
    parts = [
        f"{100 * share:.1f} % of the variance of {target}'s layer is not given by g from {source}'s"
        for target, source, share in zip(
            held["target"], held["source"], held["xdelta"], strict=True
        )
    ]
    return f"On test images, {'; '.join(parts)}."


def best(table: pd.DataFrame) -> str:
    """Return a sentence on the best pair of layers: largest shares given, else highest CKA.

    Shares given by g where it was fitted, else by linear maps; one pair for each direction.
    """
    kinds = (("xdelta", "by g"), ("linear_flattened", "by linear maps"))
    for column, how in kinds:
        told = [_largest(table, f"{column}_{target}", target) for target in "ba"]
        if any(told):
            return (
                f"The largest shares given, on test images, {how}: {'; '.join(filter(None, told))}."
            )
    row = table.iloc[int(table["cka"].argmax())]
    return (
        f"The highest CKA, on test images: {row['cka']:.3f}, {row['layer_a']} of a and "
        f"{row['layer_b']} of b."
    )


def _largest(table: pd.DataFrame, column: str, target: str) -> str:
    """Return the pair with the smallest missing share in words; empty without one."""
    if column not in table or table[column].isna().all():
        return ""
    source = "ab".replace(target, "")
    row = table.iloc[int(table[column].argmin())]
    return (
        f"{row[f'layer_{source}']} of {source} gives {100 * (1 - row[column]):.1f} % of the "
        f"variance of {row[f'layer_{target}']} of {target}"
    )


def nearest_sentence(near: pd.DataFrame) -> str:
    """Return a sentence: which two models are nearest, and which model is farthest from others."""
    by_cka = near[near["measure"] == "cka"]
    if by_cka.empty:
        return "No pair of models has a CKA: a layer is constant over the test images."
    values = by_cka["value"].to_numpy(float)
    closest, farthest = (by_cka.iloc[int(place)] for place in (values.argmax(), values.argmin()))
    return (
        f"By CKA (0: as permuted images, 1: equal), {closest['target']} and {closest['nearest']} "
        f"are nearest ({closest['value']:.3f}); {farthest['target']} is farthest from the others "
        f"(nearest: {farthest['nearest']}, {farthest['value']:.3f})."
    )


def comparison_html(
    shares: pd.DataFrame, notes: Sequence[str], peers: pd.DataFrame, peer_notes: Sequence[str]
) -> str:
    """Return the main sentence, shares, notes and similarity measures as HTML for a notebook."""
    tables = (
        (shares, shares_text(shares, notes)._replace(caption=""), share_columns(shares)),
        (peers, measures_text(peer_notes), MEASURE_COLUMNS),
    )
    return html_fragment(share_sentence(shares), [table_cells(*table) for table in tables])


def matrix_html(table: pd.DataFrame, notes: Sequence[str]) -> str:
    """Return the main sentence, the table and its notes as HTML for a notebook."""
    cells = table_cells(table, matrix_text(notes), share_columns(table))
    return html_fragment(best(table), [cells])


def models_html(answer: str, near: pd.DataFrame, notes: Sequence[str]) -> str:
    """Return the main sentence, the nearest models and the notes as HTML for a notebook."""
    text = NEAREST._replace(notes=notes)
    return html_fragment(answer, [table_cells(near, text, share_columns(near))])
