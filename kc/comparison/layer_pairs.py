"""Pair the layers of two sides, each pair in forms of the same kind."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kc.comparison.forms import LONGEST, Form, align
from kc.comparison.settings import CompareSettings
from kc.comparison.sides import ComparedSide, cuts_of_sides
from kc.consistency.net import check_shapes
from kc.errors import FeatureError
from kc.names import Shape


def fit_folder(spelled: str) -> str:
    """Return the name of a fit's folder; where it is no plain name, a digest makes it differ."""
    plain_name = re.sub(r"[^A-Za-z0-9._@-]", "_", spelled)
    if plain_name == spelled and len(spelled) <= LONGEST:
        return spelled
    return f"{plain_name[:LONGEST]}.{hashlib.sha256(spelled.encode()).hexdigest()[:8]}"


class PairedLayers(NamedTuple):
    """A layer of a and a layer of b, with their forms: a row of the table."""

    layers: tuple[str, str]
    forms: tuple[Form, Form]
    shapes: tuple[Shape, Shape]

    def array(self, letter: str) -> str:
        """Return the name of the stored array of a side."""
        at = "ab".index(letter)
        return self.forms[at].array(self.layers[at])

    def name(self, source: str, target: str) -> str:
        """Return the name of a fit's folder, different for each pair of layers."""
        return fit_folder(f"{target}.{self.array(target)}-from-{source}.{self.array(source)}")

    def work(self, source: str, target: str) -> tuple[Shape, Shape]:
        """Return the shapes of source and target."""
        return self.shapes["ab".index(source)], self.shapes["ab".index(target)]

    def about(self) -> dict[str, Any]:
        """Return the first columns of its row."""
        found: dict[str, Any] = {}
        sides = zip("ab", self.layers, self.forms, self.shapes, strict=True)
        for letter, layer, form, shape in sides:
            found[f"layer_{letter}"] = layer
            found[f"form_{letter}"] = form.suffix.removeprefix("@") or "own"
            found[f"shape_{letter}"] = " x ".join(map(str, shape))
        return found


def pair_layers(
    sides: Sequence[ComparedSide], settings: CompareSettings
) -> tuple[list[PairedLayers], int]:
    """Pair all layers; count and leave out pairs that cannot be brought to the same kind.

    Raises
    ------
    FeatureError
        No pair can.
    """
    found, refused = [], []
    cuts = cuts_of_sides(sides, settings)
    for first in sides[0].layers.values():
        for second in sides[1].layers.values():
            try:
                forms = align(first, second, settings.tokens, settings.align, cuts)
                shapes = forms[0].shape(first.shape), forms[1].shape(second.shape)
                check_shapes(*shapes)
                found.append(PairedLayers((first.name, second.name), forms, shapes))
            except FeatureError as error:
                refused.append(error)
    if not found:
        raise refused[0]
    return found, len(refused)


def wanted_forms(letter: str, cells: Sequence[PairedLayers]) -> dict[str, list[Form]]:
    """Return the forms in which each layer is stored."""
    at, found = "ab".index(letter), dict[str, list[Form]]()
    for cell in cells:
        forms = found.setdefault(cell.layers[at], [])
        if cell.forms[at] not in forms:
            forms.append(cell.forms[at])
    return found


def widest_arrays(side: ComparedSide, wanted: Mapping[str, Sequence[Form]]) -> dict[str, str]:
    """Return, by layer, the stored array with the most units."""
    widest = {
        name: max(forms, key=lambda form: np.prod(form.shape(side.layers[name].shape)))
        for name, forms in wanted.items()
    }
    return {name: form.array(name) for name, form in widest.items()}
