"""Which part of each picture two networks both see, and what of their maps shows it."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from kc.settings.preparation import Preparation
from kc.store import Store

ALIKE = 0.01
"""Views whose sides differ by less are the same: a crop is a whole number of pixels."""

ViewParts = Float[np.ndarray, "n side"]
"""For each picture, a part of a height and a width, about the centre."""


def cuts_of(
    preparations: Sequence[Preparation | None],
) -> tuple[float | None, float | None] | None:
    """Return how much of each side's maps shows what both see; None: they see the same.

    It is that of square pictures, which sets the number of cells; each picture has its own part.
    """
    one, other = preparations
    if one is None or other is None:
        return None
    shown = [how.size / how.resize for how in (one, other)]
    least = min(shown)
    cuts = [least / each for each in shown]
    if one.aspect != other.aspect:
        return cuts[0], cuts[1]
    if min(cuts) > 1 - ALIKE:
        return None
    # the one that sees less is not cut
    first, second = (None if each == 1 else each for each in cuts)
    return first, second


def parts_of(pictures: Mapping[str, Store]) -> dict[str, ViewParts]:
    """Return, by side, the part of its own view of each picture that both sides see."""
    views = {letter: _view(store) for letter, store in pictures.items()}
    common = np.minimum.reduce(list(views.values()))
    return {letter: common / each for letter, each in views.items()}


def _view(store: Store) -> ViewParts:
    if "view" in store:
        return np.asarray(store["view"][:], np.float32)
    return np.ones((len(store["image"]), 2), np.float32)
