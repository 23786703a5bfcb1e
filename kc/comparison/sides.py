"""The two sides of a comparison: a network and its layers, or features made outside kc."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from kc.comparison.arrays import OwnArrays, import_arrays
from kc.comparison.forms import OwnLayer
from kc.comparison.layers import Tap, distinct_layers, owned, tap
from kc.comparison.networks import OwnNetwork
from kc.comparison.pictures import build_pictures
from kc.comparison.record import WantedForms, record_layers
from kc.comparison.rows import order_in, rows_of_arrays
from kc.comparison.settings import CompareSettings
from kc.comparison.workplace import Workplace
from kc.errors import FeatureError, ImageError, NetworkError
from kc.files.made import begin_register
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
    images: Store | None
    """The pictures, if a side is a network."""
    orders: dict[str, np.ndarray]
    """By letter, for features made outside kc: the row of the file for each row."""


def open_side(
    letter: str, what: Comparable, wanted: Choice, settings: CompareSettings
) -> ComparedSide:
    """Open one side and find the requested layers.

    Raises
    ------
    NetworkError
        As :func:`kc.comparison.layers.tap`.
    FeatureError
        The array does not exist, or there are several and none was named.
    """
    if isinstance(what, OwnArrays):
        names = _arrays_named(letter, what, wanted)
        chosen = {name: what.layers[name] for name in names}
        _refuse_unclear(what.name, chosen, letter)
        return ComparedSide(letter, what.name, "features made elsewhere", chosen, what, what.inputs)
    network = _network(letter, what)
    if wanted is None:
        raise FeatureError(
            f"{letter}: {network.name} is a network, so a layer must be named: --layer-{letter} "
            "NODE, or --layers all. Fix: 'kc layers' lists the nodes."
        )
    if wanted == "all":
        distinct = distinct_layers(network, settings.size, settings.tap)
        wanted = [layer.name for layer in distinct if layer.read != "unclear"]
        if len(wanted) < len(distinct):
            LOG.warning(
                "%s: %d layers left out, whose maps may have their channels last. Fix: --layout-%s",
                *(network.name, len(distinct) - len(wanted), letter),
            )
    nodes = [wanted] if isinstance(wanted, str) else list(wanted)
    tapped = tap(network, nodes, settings.size, settings.tap)
    _refuse_unclear(network.name, tapped.layers, letter)
    return ComparedSide(letter, network.name, network.weights, tapped.layers, tapped, network.files)


def _refuse_unclear(name: str, layers: Mapping[str, OwnLayer], letter: str) -> None:
    """Refuse maps that may be (y, x, channels), which kc would read as (channels, y, x)."""
    for layer in layers.values():
        if layer.read == "unclear":
            shape = " x ".join(map(str, layer.shape))
            raise FeatureError(
                f"{name}: '{layer.name}' is {shape}, by its shape perhaps a map with its channels "
                f"last; expected (channels, y, x). Fix: --layout-{letter} nhwc if it is (y, x, "
                f"channels), --layout-{letter} nchw if not; in Python, layout='nhwc' of the side."
            )


def _network(letter: str, what: object) -> OwnNetwork:
    """Return a network; name a module of the user by its class."""
    if isinstance(what, nn.Module):
        what = OwnNetwork(type(what).__name__, what)
    if not isinstance(what, OwnNetwork):
        raise NetworkError(
            f"{letter} is a {type(what).__name__}, expected a network or features. Fix: an "
            "nn.Module, kc.read_network(NAME) or kc.read_arrays(FILE)."
        )
    return owned(what)


def _arrays_named(letter: str, what: OwnArrays, wanted: Choice) -> list[str]:
    there = list(what.arrays)
    if wanted is None and len(there) > 1:
        raise FeatureError(
            f"{letter}: {what.name} holds {len(there)} arrays ({', '.join(there[:6])}); one must "
            f"be named. Fix: --layer-{letter} NAME, or --layers all."
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
        return ComparedRows(paired.table, None, dict(zip(arrays, paired.orders, strict=True)))
    if images is None:
        raise ImageError("a network is compared, so pictures are needed. Fix: --images FOLDER.")
    begin_register(at.out)
    store = build_pictures(Path(images), at.out / "pictures.zarr", at.settings)
    orders = {}
    for letter, side in arrays.items():
        if side.ids is None:
            raise FeatureError(
                f"{side.name}: compared with a network, features need the picture of each row. "
                f"Fix: --ids-{letter} FILE, one id on each line: the picture's path in --images."
            )
        orders[letter] = order_in(side, side.ids, store.image_ids)
    return ComparedRows(store.rows, store, orders)


def store_side(side: ComparedSide, wanted: WantedForms, rows: ComparedRows, at: Workplace) -> Store:
    """Store a side's layers in the wanted forms, or resume storing them."""
    begin_register(at.out)
    path = at.out / "activations" / f"{side.letter}.zarr"
    if isinstance(side.source, OwnArrays):
        order = rows.orders[side.letter]
        return import_arrays(side.source, wanted, rows.table, order, at.settings, path)
    assert rows.images is not None
    return record_layers(side.source, wanted, rows.images, at.settings, path, at.device)
