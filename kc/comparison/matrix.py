"""Compare many layers of two sides: shares of x^Delta (FVU) in both directions, and CKA."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from kc.comparison import notes
from kc.comparison.compare import DEFAULT, DIRECTIONS, origin_of
from kc.comparison.estimate import matrix_rate, seconds_of, spell_seconds
from kc.comparison.fits import direction_product
from kc.comparison.forms import LONGEST, Form, align
from kc.comparison.memory import check_memory
from kc.comparison.places import check_places
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import (
    Choice,
    Comparable,
    ComparedSide,
    check_room,
    cuts_of_sides,
    open_side,
    pair_rows,
    store_side,
)
from kc.comparison.similarities import cka_of_all
from kc.comparison.workplace import Direction, Workplace
from kc.consistency.net import check_shapes
from kc.consistency.rank import Rank, common_rank
from kc.consistency.rungs import Fitted, make_fitted
from kc.errors import FeatureError
from kc.images.rows import rows_in
from kc.names import SUBSETS, Shape, component_names
from kc.provenance import code_hash, plain, versions
from kc.store import Store

if TYPE_CHECKING:
    import matplotlib.figure


class Matrix(NamedTuple):
    """The results of a comparison of many layers, for a table and a picture."""

    table: pd.DataFrame
    """One row for each pair of layers."""
    notes: tuple[str, ...]
    provenance: dict[str, Any]

    def plot(self) -> "matplotlib.figure.Figure":
        """Draw heatmaps of the shares given in both directions, and of CKA."""
        from kc.comparison.drawings import matrix_figure

        return matrix_figure(self.table, self.provenance["networks"])

    def _repr_html_(self) -> str:
        from kc.comparison.shown import matrix_html

        return matrix_html(self.table, self.notes)


class _Cell(NamedTuple):
    layers: tuple[str, str]
    forms: tuple[Form, Form]
    shapes: tuple[Shape, Shape]

    def array(self, letter: str) -> str:
        at = "ab".index(letter)
        return self.forms[at].array(self.layers[at])

    def name(self, source: str, target: str) -> str:
        """Return the name of a fit's folder, different for each pair of layers."""
        spelled = f"{target}.{self.array(target)}-from-{source}.{self.array(source)}"
        plain_name = re.sub(r"[^A-Za-z0-9._@-]", "_", spelled)
        if plain_name == spelled and len(spelled) <= LONGEST:
            return spelled
        return f"{plain_name[:LONGEST]}.{hashlib.sha256(spelled.encode()).hexdigest()[:8]}"

    def work(self, source: str, target: str) -> tuple[Shape, Shape]:
        return self.shapes["ab".index(source)], self.shapes["ab".index(target)]


class _Planned(NamedTuple):
    cell: _Cell
    source: str
    target: str
    seconds: float
    """Estimated time of the fit."""


class _Fitted(NamedTuple):
    fits: dict[tuple[tuple[str, str], str], Fitted]
    """By pair of layers and letter of the target."""
    warned: list[str]
    """Fits with too few images."""
    open: list[str]
    """Fits that are not finished."""
    refused: dict[str, FeatureError]
    """Fits that cannot be made."""


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
    """Reconstruct every layer of each side from every layer of the other.

    All layers of a network are recorded in one pass. An interrupted run resumes at the next fit.
    ``say`` gets, before the first fit, a line with the number of fits and their estimated time.

    Parameters
    ----------
    layers_a, layers_b
        Some layers, or ``all`` (without layers that return their input unchanged).

    Raises
    ------
    NetworkError, ImageError, FeatureError
        As :func:`kc.comparison.compare`; pairs that cannot be brought to the same kind are left
        out, unless there are no others.
    StoreError
        The features need more space than the disk has; or an input, or a file that kc did not
        make, is where kc writes: nothing is changed then.
    """
    at = Workplace.of(settings, Path(out), device)
    sides = [open_side("a", a, layers_a, settings), open_side("b", b, layers_b, settings)]
    cells, left_out = _cells(sides, settings)
    fits = [f"fits/{cell.name(*ends)}" for cell in cells for ends in DIRECTIONS]
    check_places(at.out, sides, images, [], [*fits, "peers/matrix"])
    rows = pair_rows(sides, images, at)
    wanted = {side.letter: _wanted(side.letter, cells) for side in sides}
    size = check_room(sides, wanted, rows, at)
    plan = _plan(cells, len(rows_in(rows.table, "train")), settings, matrix_rate(at.device))
    say(
        f"{len(plan)} fits ({len(sides[0].layers)} x {len(sides[1].layers)} layers, both ways"
        f"{f', {left_out} pairs left out' if left_out else ''}): about "
        f"{spell_seconds(sum(planned.seconds for planned in plan))} on {at.device.type}, "
        f"{size / 1e9:.3g} GB of features and {rows.bytes / 1e9:.3g} GB of pictures. An "
        "interrupted run resumes."
    )
    stores = {side.letter: store_side(side, wanted[side.letter], rows, at) for side in sides}
    shapes = [cell.work(*ends) for cell in cells for ends in DIRECTIONS]
    rank = common_rank(shapes, len(rows_in(rows.table, "train")), settings.consistency)
    fitted = _fit_all(plan, stores, at, rank)
    cka = _cka(sides, wanted, stores, at)
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
    arrays = {letter: [store[name] for name in store.names] for letter, store in stores.items()}
    told = (
        *notes.of_views(sides, [len(cell.shapes[0]) for cell in cells], settings),
        *notes.of_rounding(sides, arrays),
        *_notes(fitted, left_out),
        notes.of_rows(sides, rows),
    )
    told += tuple(notes.of_ranks(fitted.fits))
    told += tuple(side.note_of_all() for side in sides)
    told += (notes.of_fit(settings), notes.ONE_PAIR)
    return Matrix(_table(cells, fitted, cka, settings.consistency.order), told, origin)


def _plan(
    cells: Sequence[_Cell], images: int, settings: CompareSettings, rate: float
) -> list[_Planned]:
    """List both directions of each pair, with the estimated seconds of the fit."""
    return [
        _Planned(cell, *ends, seconds_of(*cell.work(*ends), images, settings, rate))
        for cell in cells
        for ends in DIRECTIONS
    ]


def _fit_all(
    plan: Sequence[_Planned], stores: Mapping[str, Store], at: Workplace, rank: Rank
) -> _Fitted:
    """Fit what is not fitted yet; list fits that fail (such as of a constant layer).

    The progress bar counts estimated seconds, as fits take very different times.
    """
    found = _Fitted({}, [], [], {})
    layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    total = sum(planned.seconds for planned in plan)
    images = len(rows_in(stores["a"].rows, "train"))
    with tqdm(total=total, bar_format=layout, disable=None) as bar:
        for number, (cell, source, target, seconds) in enumerate(plan, start=1):
            name = cell.name(source, target)
            bar.set_description_str(f"fit {number} of {len(plan)}: {name}")
            ends = (stores[letter][cell.array(letter)] for letter in (source, target))
            try:
                settings = at.settings.consistency
                check_memory(name, [cell.work(source, target)], images, settings, at.device)
                own = direction_product(Direction(name, *ends), at, rank, pictured=False)
                fit = make_fitted(own, at.out)
            except FeatureError as error:
                found.refused[name] = error
            else:
                found.fits[(cell.layers, target)] = fit
                if notes.too_few("", fit.card, {s: fit.share(s) for s in SUBSETS}):
                    found.warned.append(name)
                if fit.card["settled"] == "no":
                    found.open.append(name)
            bar.update(seconds)
    if not found.fits:
        raise next(iter(found.refused.values()))
    return found


def _table(
    cells: Sequence[_Cell],
    fitted: _Fitted,
    cka: Mapping[tuple[str, str], float],
    order: int,
) -> pd.DataFrame:
    names = ("xdelta", *component_names(order)[:-1])
    rows = []
    for cell in cells:
        row = _about(cell)
        for _, target in DIRECTIONS:
            fit = fitted.fits.get((cell.layers, target))
            shares = dict.fromkeys(names, np.nan) if fit is None else fit.shares("test", names)
            row |= {f"{name}_{target}": value for name, value in shares.items()}
            row[f"xdelta_{target}_train"] = np.nan if fit is None else fit.share("train")
        rows.append(row | {"cka": cka[cell.layers]})
    return pd.DataFrame(rows)


def _cells(sides: Sequence[ComparedSide], settings: CompareSettings) -> tuple[list[_Cell], int]:
    """Pair all layers; count and leave out pairs that cannot be brought to the same kind."""
    found, refused = [], []
    cuts = cuts_of_sides(sides, settings)
    for first in sides[0].layers.values():
        for second in sides[1].layers.values():
            try:
                forms = align(first, second, settings.tokens, settings.align, cuts)
                shapes = forms[0].shape(first.shape), forms[1].shape(second.shape)
                check_shapes(*shapes)
                found.append(_Cell((first.name, second.name), forms, shapes))
            except FeatureError as error:
                refused.append(error)
    if not found:
        raise refused[0]
    return found, len(refused)


def _wanted(letter: str, cells: Sequence[_Cell]) -> dict[str, list[Form]]:
    """Return the forms in which each layer is stored."""
    at, found = "ab".index(letter), dict[str, list[Form]]()
    for cell in cells:
        forms = found.setdefault(cell.layers[at], [])
        if cell.forms[at] not in forms:
            forms.append(cell.forms[at])
    return found


def _about(cell: _Cell) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for letter, layer, form, shape in zip("ab", cell.layers, cell.forms, cell.shapes, strict=True):
        found[f"layer_{letter}"] = layer
        found[f"form_{letter}"] = form.suffix.removeprefix("@") or "own"
        found[f"shape_{letter}"] = " x ".join(map(str, shape))
    return found


def _cka(
    sides: Sequence[ComparedSide],
    wanted: Mapping[str, Mapping[str, list[Form]]],
    stores: Mapping[str, Store],
    at: Workplace,
) -> dict[tuple[str, str], float]:
    """Return the CKA of each pair of layers, each layer in its form with the most units."""
    arrays = []
    for side in sides:
        of_side = wanted[side.letter]
        widest = {
            name: max(forms, key=lambda form: np.prod(form.shape(side.layers[name].shape)))
            for name, forms in of_side.items()
        }
        arrays.append({name: form.array(name) for name, form in widest.items()})
    names = [list(some.values()) for some in arrays]
    found = cka_of_all(stores["a"], stores["b"], (names[0], names[1]), at)
    pairs = product(arrays[0], arrays[1])
    return dict(zip(pairs, found.to_numpy().ravel().tolist(), strict=True))


def _notes(fitted: _Fitted, left_out: int) -> list[str]:
    """Return footnotes on the columns, warnings first."""
    told = []
    if fitted.open:
        told.append(
            f"Warning: {len(fitted.open)} of {len(fitted.fits)} fits are not finished, the first "
            f"{fitted.open[0]}: their xdelta is too large. Fix: a higher --epochs (a maximum), or "
            "no --epochs."
        )
    if fitted.warned:
        told.append(
            f"Warning: too few images for the width of {len(fitted.warned)} of "
            f"{len(fitted.fits)} fits (fewer than {notes.ENOUGH:g} positions for a weight of g): "
            "their test shares are too high. Compare them with xdelta on training images."
        )
    if fitted.refused:
        name, error = next(iter(fitted.refused.items()))
        told.append(f"{len(fitted.refused)} fits could not be made, the first {name}: {error}")
    if left_out:
        told.append(f"{left_out} pairs could not be brought to the same kind.")
    return [
        *told,
        "xdelta_b: share of Var(b's layer) that g does not reconstruct from a's layer (fraction "
        "of variance unexplained, 1 - R^2), test images; xdelta_a: from b's layer; _train: on "
        "training images. x0: share of what passes no ReLU of g.",
        "cka: linear CKA, debiased, averaged over batches of 256 test images, flattened "
        "features as stored; the same in both directions.",
    ]
