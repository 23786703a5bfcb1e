"""Compare many layers of two sides: measures of all pairs in one pass, and g where asked for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from kc.comparison import notes
from kc.comparison.compare import DEFAULT, DIRECTIONS, origin_of
from kc.comparison.estimate import matrix_rate
from kc.comparison.forms import Form
from kc.comparison.layer_pairs import PairedLayers, pair_layers, wanted_forms, widest_arrays
from kc.comparison.matrix_fits import MatrixFits, chosen_fits, make_fits, plan_fits, told_fits
from kc.comparison.matrix_notes import of_left_out, of_matrix_fits, of_measured
from kc.comparison.one_pass import SideGrams, measures_of_all, why_not
from kc.comparison.places import check_places
from kc.comparison.record import WantedForms
from kc.comparison.reference_table import ABOUT, reference_table
from kc.comparison.references import rows_of_twin, twins_of
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import (
    Choice,
    Comparable,
    ComparedRows,
    ComparedSide,
    check_room,
    open_side,
    pair_rows,
    store_side,
)
from kc.comparison.workplace import Workplace
from kc.consistency.rank import common_rank
from kc.errors import FeatureError
from kc.images.rows import rows_in
from kc.names import component_names
from kc.provenance import code_hash, plain, versions

if TYPE_CHECKING:
    import matplotlib.figure


class Matrix(NamedTuple):
    """The results of a comparison of many layers, for a table and a picture."""

    table: pd.DataFrame
    """One row for each pair of layers."""
    references: pd.DataFrame | None
    """What pixels and untrained networks give of each layer
    (:func:`kc.comparison.reference_table.reference_table`); None for features without pictures,
    empty if there are too many images."""
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    @property
    def answer(self) -> str:
        """A sentence: which pair of layers is nearest."""
        from kc.comparison.shown import best

        return best(self.table)

    def plot(self) -> "matplotlib.figure.Figure":
        """Draw heatmaps of the measures and of the shares that g gives, if it was fitted."""
        from kc.comparison.drawings import matrix_figure

        return matrix_figure(self.table, self.provenance["networks"])

    def _repr_html_(self) -> str:
        from kc.comparison.shown import matrix_html

        return matrix_html(self.table, self.notes)


def compare_layers(
    a: Comparable,
    b: Comparable,
    layers_a: Choice = "all",
    layers_b: Choice = "all",
    images: Path | str | None = None,
    out: Path | str = "compared",
    settings: CompareSettings = DEFAULT,
    device: str = "auto",
    say: Callable[[str], None] = tqdm.write,
) -> Matrix:
    """Compare every layer of each side with every layer of the other.

    All layers of a network are recorded in one pass. The measures of all pairs follow from inner
    products of images (:func:`kc.similarity.all_pairs.all_pairs`); g is fitted to the pairs that
    ``settings.fits`` asks for: none, each layer from its best partner, or all, in both directions.
    An interrupted run resumes at the next fit. ``say`` gets, before recording, a line with the
    number of fits and their estimated time.

    Parameters
    ----------
    layers_a, layers_b
        Some layers, or ``all`` (without layers that return their input unchanged).

    Raises
    ------
    NetworkError, ImageError, FeatureError
        As :func:`kc.comparison.compare`; pairs that cannot be brought to the same kind, and
        constant layers, are left out, unless there are no others.
    StoreError
        The features need more space than the disk has; or an input, or a file that kc did not
        make, is where kc writes: nothing is changed then.
    """
    at = Workplace.of(settings, Path(out), device)
    sides = [open_side("a", a, layers_a, settings), open_side("b", b, layers_b, settings)]
    cells, left_out = pair_layers(sides, settings)
    twins = twins_of(sides, (a, b), settings)
    everyone = [*sides, *twins.values()]
    fits = [f"fits/{cell.name(*ends)}" for cell in cells for ends in DIRECTIONS]
    check_places(at.out, everyone, images, [], [*fits, "peers/matrix", "peers/references"])
    rows = pair_rows(sides, images, at)
    wanted = {side.letter: wanted_forms(side.letter, cells) for side in sides}
    # a twin is compared as its network gives it
    own = {t.letter: {name: [Form()] for name in t.layers} for t in twins.values()}
    size = check_room(everyone, wanted | own, rows, at)
    known = len(rows_in(rows.table, "train"))
    plan = plan_fits(cells, known, settings, matrix_rate(at.device))
    layers = sum(map(len, wanted.values()))
    told_layers = f"{len(sides[0].layers)} x {len(sides[1].layers)} layers"
    told_layers += f", {left_out} pairs left out" if left_out else ""
    say(
        f"{told_fits(plan, settings, told_layers)} on {at.device.type}, "
        f"{size / 1e9:.3g} GB of features and {rows.bytes / 1e9:.3g} GB of pictures. An "
        "interrupted run resumes."
    )
    stores = {side.letter: store_side(side, wanted[side.letter], rows, at) for side in sides}
    arrays = [widest_arrays(side, wanted[side.letter]) for side in sides]
    grams = {
        side.letter: SideGrams(stores[side.letter], some, at)
        for side, some in zip(sides, arrays, strict=True)
    }
    measured = _measured(cells, arrays, grams, at)
    many = why_not(len(rows.table), layers, settings.consistency.memory_gb)
    references = None if rows.images is None else pd.DataFrame(columns=list(ABOUT))
    if many is None and rows.images is not None:
        seen = {
            side.letter: _twin_grams(twin, own[twin.letter], rows_of_twin(rows, side, twin), at)
            for side in sides
            if (twin := twins.get(side.letter))
        }
        references = reference_table(grams, seen, rows, at)
    shapes = [cell.work(*ends) for cell in cells for ends in DIRECTIONS]
    rank = common_rank(shapes, known, settings.consistency)
    fitted = make_fits(chosen_fits(plan, measured, settings), stores, at, rank)
    origin = {
        "images": origin_of(rows, images),
        "networks": {
            side.letter: {
                "name": side.name,
                "weights": side.weights,
                **side.card,
                "layers": list(side.layers),
                "preparation": plain(side.preparation),
                "activations": stores[side.letter].digest,
            }
            for side in sides
        },
        "settings": plain(settings),
        "fits": {f.card["fit"]: f.card["digest"] for f in fitted.fits.values()},
        "code": code_hash("kc.comparison.matrix"),
        "versions": versions(),
        "device": str(at.device),
    }
    stored = {letter: [store[name] for name in store.names] for letter, store in stores.items()}
    told = (
        *notes.of_views(sides, [len(cell.shapes[0]) for cell in cells], settings),
        *notes.of_rounding(sides, stored),
        *of_matrix_fits(fitted, settings),
        *of_left_out(left_out, int(measured["cka"].isna().sum())),
        *of_measured(many),
        notes.of_rows(sides, rows),
        *notes.of_ranks(fitted.fits),
        *(side.note_of_all() for side in sides),
        *([notes.of_fit(settings)] if fitted.fits else []),
        notes.ONE_PAIR,
    )
    return Matrix(_table(cells, fitted, measured, settings), references, told, origin)


def _measured(
    cells: Sequence[PairedLayers],
    arrays: Sequence[Mapping[str, str]],
    grams: Mapping[str, SideGrams],
    at: Workplace,
) -> pd.DataFrame:
    """Return the layers and measures of each pair.

    ``arrays``: by side and layer, the array that is measured: its form with the most units.

    Raises
    ------
    FeatureError
        No fits are asked for, and no pair can be measured.
    """
    found = measures_of_all(grams["a"], grams["b"], at)
    if at.settings.fits != "all" and found["cka"].isna().all():
        count = len(rows_in(grams["a"].store.rows, "test"))
        raise FeatureError(
            f"layers: no pair can be compared over the {count} "
            f"test images: in each, a layer is constant ({', '.join([*arrays[0]][:3])} of a, "
            f"{', '.join([*arrays[1]][:3])} of b). Fix: name others (--layers), or check the "
            "networks and their input."
        )
    found.index = pd.MultiIndex.from_product(arrays)
    about = pd.DataFrame([cell.about() for cell in cells])
    return pd.concat(
        [about, found.loc[[cell.layers for cell in cells]].reset_index(drop=True)], axis=1
    )


def _twin_grams(
    twin: ComparedSide, wanted: WantedForms, rows: ComparedRows, at: Workplace
) -> SideGrams:
    store = store_side(twin, wanted, rows, at)
    return SideGrams(store, {layer: Form().array(layer) for layer in twin.layers}, at)


def _table(
    cells: Sequence[PairedLayers],
    fitted: MatrixFits,
    measured: pd.DataFrame,
    settings: CompareSettings,
) -> pd.DataFrame:
    """Put the shares of g, if any were asked for, before the measures."""
    if settings.fits == "none":
        return measured
    names = ("xdelta", *component_names(settings.consistency.order)[:-1])
    rows = []
    for cell in cells:
        row: dict[str, float] = {}
        for _, target in DIRECTIONS:
            fit = fitted.fits.get((cell.layers, target))
            shares = dict.fromkeys(names, np.nan) if fit is None else fit.shares("test", names)
            row |= {f"{name}_{target}": value for name, value in shares.items()}
            row[f"xdelta_{target}_train"] = np.nan if fit is None else fit.share("train")
        rows.append(row)
    first = len(cells[0].about())
    return pd.concat(
        [measured.iloc[:, :first], pd.DataFrame(rows), measured.iloc[:, first:]], axis=1
    )
