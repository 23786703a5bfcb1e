"""Plans of the drawn scenes: the objects of each picture, for any layout."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kc.runtime import derive_seed
from kc.settings.dataset import Generated
from kc.synthetic.drawn_files import tested_of
from kc.synthetic.kinds import chosen_kinds
from kc.synthetic.scenes import Scene, paint_scene

CROWD = (0.30, 0.35, 0.20, 0.15)
"""Shares of pictures with one, two, three and four objects."""


class ScenePlan(NamedTuple):
    """Subset and objects of a picture."""

    subset: str
    """``train`` or ``val``"""
    kinds: list[str]


def planned(settings: Generated) -> list[ScenePlan]:
    """Distribute the objects over pictures, and mix the pictures of the two subsets."""
    tested = tested_of(settings)
    counts = {"train": settings.images_per_class - tested, "val": tested}
    rng = np.random.default_rng(derive_seed("scenes", settings.seed))
    plans = [
        ScenePlan(subset, hand)
        for subset, count in counts.items()
        for hand in _dealt(chosen_kinds(settings.classes) * count, rng)
    ]
    return [plans[place] for place in rng.permutation(len(plans))]


def draw_scene(settings: Generated, number: int, kinds: list[str]) -> Scene:
    """Draw picture ``number`` (from 0) with these kinds."""
    rng = np.random.default_rng(derive_seed("scene", settings.seed, number))
    return paint_scene(kinds, rng, settings.canvas, settings.difficulty)


def _dealt(names: Sequence[str], rng: np.random.Generator) -> list[list[str]]:
    deck = rng.permutation(names).tolist()
    hands = []
    while deck:
        size = int(rng.choice(len(CROWD), p=CROWD)) + 1
        hands.append(deck[:size])
        deck = deck[size:]
    return hands
