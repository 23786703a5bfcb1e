"""The two sides of a comparison: a network and its layers, or features made outside kc."""

import difflib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from kc.comparison.arrays import OwnArrays, import_arrays
from kc.comparison.estimate import check_space
from kc.comparison.forms import OwnLayer
from kc.comparison.layers import Tap, distinct_layers, owned, tap
from kc.comparison.networks import OwnNetwork, preparation_of
from kc.comparison.pictures import build_pictures
from kc.comparison.record import SeenPictures, WantedForms, record_layers, specs_of
from kc.comparison.rows import order_in, rows_of_arrays
from kc.comparison.settings import CompareSettings
from kc.comparison.views import ViewParts, cuts_of, parts_of
from kc.comparison.workplace import Workplace
from kc.errors import FeatureError, ImageError, NetworkError, StoreError
from kc.files.checksum import content_digest
from kc.files.made import begin_register
from kc.plans.commands import AGAIN
from kc.settings.preparation import Preparation
from kc.store import Store

LOG = logging.getLogger(__name__)

Comparable = OwnNetwork | nn.Module | OwnArrays
Choice = str | Sequence[str] | Literal["all"] | None
"""A layer, several, or ``all``; None: the only one."""


@dataclass(frozen=True)
class ComparedSide:
    """One side with the layers that are compared."""

    letter: str
    name: str
    weights: str
    """Origin of its weights or features."""
    layers: dict[str, OwnLayer]
    source: Tap | OwnArrays
    files: tuple[Path, ...] = ()
    """Files it was read from."""
    preparation: Preparation | None = None
    """What is done to its pictures; None: it takes none."""

    def note(self, layer: str) -> str:
        """Return the note on a layer: network, weights and shape."""
        shape = " x ".join(map(str, self.layers[layer].shape))
        what, told = "", [f"layer {layer} ({shape})"]
        if self.layers[layer].read == "nhwc":
            told.append("read as (y, x, channels)")
        if isinstance(self.source, Tap):
            what = "weights: "
            told += [text for text in (self.source.told, self.source.way.told) if text]
        return f"{self.letter}: {self.name}, {what}{self.weights}; {'; '.join(told)}."

    def note_of_all(self) -> str:
        """Return the note on all layers of a matrix."""
        last = sum(layer.read == "nhwc" for layer in self.layers.values())
        told = [f"{len(self.layers)} layers", f"{last} read as (y, x, channels)" if last else ""]
        told += [self.source.told, self.source.way.told] if isinstance(self.source, Tap) else []
        return f"{self.letter}: {self.name}, {self.weights}; {'; '.join(filter(None, told))}."

    @property
    def card(self) -> dict[str, str]:
        """How its layers are found, for the record; empty for features."""
        return {"tap": self.source.way.how} if isinstance(self.source, Tap) else {}


class ComparedRows(NamedTuple):
    """The rows that all features of a comparison have."""

    table: pd.DataFrame
    pictures: dict[str, Store]
    """By letter, as that side's network takes them; features have those of the other side. Empty if
    both sides are features."""
    orders: dict[str, np.ndarray]
    """By letter, for features made outside kc: the row of the file for each row."""

    @property
    def images(self) -> Store | None:
        """The pictures of one of the sides; None if both are features."""
        return next(iter(self.pictures.values()), None)

    @property
    def bytes(self) -> int:
        """Bytes of the pictures: a store for each way to prepare them."""
        made = {store.path: store["image"] for store in self.pictures.values()}
        return sum(math.prod(array.shape) for array in made.values())

    @property
    def parts(self) -> dict[str, ViewParts]:
        """By letter, the part of what that side sees of each picture that both see."""
        return parts_of(self.pictures)


def open_side(
    letter: str,
    what: Comparable,
    wanted: Choice,
    settings: CompareSettings,
    of_option: str | None = None,
) -> ComparedSide:
    """Open one side and find the requested layers.

    ``of_option``: end of the names of this side's options in errors; None: its letter.

    Raises
    ------
    NetworkError
        As :func:`kc.comparison.layers.tap`.
    FeatureError
        The array does not exist, or there are several and none was named.
    """
    end = f"-{letter}" if of_option is None else of_option
    if isinstance(what, OwnArrays):
        names = _arrays_named(letter, what, wanted, end)
        chosen = {name: what.layers[name] for name in names}
        _refuse_unclear(what.name, chosen, end)
        return ComparedSide(letter, what.name, "features made elsewhere", chosen, what, what.inputs)
    network = network_of(letter, what)
    preparation = preparation_of(letter, network, settings, end)
    if wanted is None:
        raise FeatureError(
            f"{letter}: {network.name} is a network, so a layer must be named: --layer{end} "
            "NODE, or --layers all. Fix: 'kc layers' lists the nodes."
        )
    if wanted == "all":
        distinct = distinct_layers(network, preparation.size, settings.tap)
        wanted = [layer.name for layer in distinct if layer.read != "unclear"]
        if len(wanted) < len(distinct):
            LOG.warning(
                "%s: %d layers left out, whose maps may have their channels last. Fix: --layout%s",
                *(network.name, len(distinct) - len(wanted), end),
            )
    nodes = [wanted] if isinstance(wanted, str) else list(wanted)
    tapped = tap(network, nodes, preparation.size, settings.tap)
    _refuse_unclear(network.name, tapped.layers, end)
    about = network.name, network.weights, tapped.layers, tapped, network.files, preparation
    return ComparedSide(letter, *about)


def cuts_of_sides(
    sides: Sequence[ComparedSide], settings: CompareSettings
) -> tuple[float | None, float | None] | None:
    """Return how much of each side's maps is compared; None: all, as both see the same."""
    return cuts_of([side.preparation for side in sides]) if settings.view == "common" else None


def names_of_pictures(sides: Sequence[ComparedSide]) -> dict[str, str]:
    """Return the name of the store of each side's pictures: one for each way to prepare them."""
    seeing = {s.letter: s.preparation.geometry for s in sides if s.preparation is not None}
    if not seeing:
        return {}
    ways = list(seeing.values())
    if all(way == ways[0] for way in ways):
        return {side.letter: "pictures" for side in sides}
    if len(sides) > 2:  # models may share a way, and more may be added
        return {letter: f"pictures-{content_digest(way)[:8]}" for letter, way in seeing.items()}
    return {letter: f"pictures-{letter}" for letter in seeing}


def _refuse_unclear(name: str, layers: Mapping[str, OwnLayer], end: str) -> None:
    """Refuse maps that may be (y, x, channels), which kc would read as (channels, y, x)."""
    for layer in layers.values():
        if layer.read == "unclear":
            shape = " x ".join(map(str, layer.shape))
            raise FeatureError(
                f"{name}: '{layer.name}' is {shape}, by its shape perhaps a map with its channels "
                f"last; expected (channels, y, x). Fix: --layout{end} nhwc if it is (y, x, "
                f"channels), --layout{end} nchw if not; in Python, layout='nhwc' of the side."
            )


def network_of(letter: str, what: object) -> OwnNetwork:
    """Return a network; name a module of the user by its class."""
    if isinstance(what, nn.Module):
        what = OwnNetwork(type(what).__name__, what)
    if not isinstance(what, OwnNetwork):
        raise NetworkError(
            f"{letter} is a {type(what).__name__}, expected a network or features. Fix: an "
            "nn.Module, kc.read_network(NAME) or kc.read_arrays(FILE)."
        )
    return owned(what)


def _arrays_named(letter: str, what: OwnArrays, wanted: Choice, end: str) -> list[str]:
    there = list(what.arrays)
    if wanted is None and len(there) > 1:
        raise FeatureError(
            f"{letter}: {what.name} holds {len(there)} arrays ({', '.join(there[:6])}); one must "
            f"be named. Fix: --layer{end} NAME, or --layers all."
        )
    if wanted is None or wanted == "all":
        return there
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in there:
            close = difflib.get_close_matches(name, there, n=3, cutoff=0.3) or there[:3]
            raise FeatureError(f"{what.name}: no array '{name}'; nearest: {', '.join(close)}.")
    return names


def pair_rows(
    sides: Sequence[ComparedSide], images: Path | str | None, at: Workplace
) -> ComparedRows:
    """Make the store of pictures if a network needs it, and find the rows of each side in it.

    Raises
    ------
    ImageError
        A network without pictures; or as :func:`kc.comparison.pictures.build_pictures`.
    FeatureError
        Rows do not match.
    """
    arrays = {side.letter: side.source for side in sides if isinstance(side.source, OwnArrays)}
    if len(arrays) == len(sides):
        paired = rows_of_arrays(list(arrays.values()), at.settings)
        return ComparedRows(paired.table, {}, dict(zip(arrays, paired.orders, strict=True)))
    if images is None:
        raise ImageError("a network is compared, so pictures are needed. Fix: --images FOLDER.")
    begin_register(at.out)
    made: dict[str, Store] = {}
    pictures, names = {}, names_of_pictures(sides)
    for one in sorted(sides, key=lambda one: one.preparation is None):
        name = names[one.letter]
        if name not in made:
            path = at.out / f"{name}.zarr"
            made[name] = build_pictures(Path(images), path, at.settings, one.preparation)
        pictures[one.letter] = made[name]
    store = next(iter(made.values()))
    for other in made.values():
        _check_same_rows(store, other)
    orders = {}
    for letter, side in arrays.items():
        if side.ids is None:
            raise FeatureError(
                f"{side.name}: compared with a network, features need the picture of each row. "
                f"Fix: --ids-{letter} FILE, one id on each line: the picture's path in --images."
            )
        orders[letter] = order_in(side, side.ids, store.image_ids)
    return ComparedRows(store.rows, pictures, orders)


def _check_same_rows(one: Store, other: Store) -> None:
    """Refuse two stores of pictures whose ids, labels or subsets are not the same.

    Raises
    ------
    StoreError
        They were made of pictures that changed in between.
    """
    if not one.rows.equals(other.rows):
        raise StoreError(
            f"{other.path}: its rows (ids, labels, subsets) are not those of {one.path}: the "
            f"pictures changed in between. Fix: {AGAIN}"
        )


def check_room(
    sides: Sequence[ComparedSide],
    wanted: Mapping[str, WantedForms],
    rows: ComparedRows,
    at: Workplace,
) -> int:
    """Return the bytes of the features of both sides; ``wanted``: by letter.

    Raises
    ------
    StoreError
        The disk has less room.
    """
    specs = [
        spec
        for side in sides
        for spec in specs_of(
            {name: layer.shape for name, layer in side.layers.items()},
            wanted[side.letter],
            len(rows.table),
            at.settings.activations.dtype,
        )
    ]
    return check_space(specs, at.out / "activations")


def store_side(side: ComparedSide, wanted: WantedForms, rows: ComparedRows, at: Workplace) -> Store:
    """Store a side's layers in the wanted forms, or resume storing them."""
    begin_register(at.out)
    path = at.out / "activations" / f"{side.letter}.zarr"
    if isinstance(side.source, OwnArrays):
        order = rows.orders[side.letter]
        return import_arrays(side.source, wanted, rows.table, order, at.settings, path)
    assert side.preparation is not None
    is_cut = any(form.cut is not None for forms in wanted.values() for form in forms)
    parts = rows.parts[side.letter] if is_cut else None
    seen = SeenPictures(rows.pictures[side.letter], side.preparation, parts)
    return record_layers(side.source, wanted, seen, at.settings, path, at.of_networks)
