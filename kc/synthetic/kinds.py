"""The twenty kinds of object of the drawn scenes, under the class names of Pascal VOC."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from kc.synthetic import creatures, household, vehicles
from kc.synthetic.parts import Part

Draw = Callable[[np.random.Generator, float], list[Part]]
"""Function that returns one object's parts, back to front, from a generator and the difficulty."""

KINDS: Mapping[str, Draw] = MappingProxyType(
    {
        "aeroplane": vehicles.aeroplane,
        "bicycle": vehicles.bicycle,
        "bird": creatures.bird,
        "boat": vehicles.boat,
        "bottle": household.bottle,
        "bus": vehicles.bus,
        "car": vehicles.car,
        "cat": creatures.cat,
        "chair": household.chair,
        "cow": creatures.cow,
        "diningtable": household.diningtable,
        "dog": creatures.dog,
        "horse": creatures.horse,
        "motorbike": vehicles.motorbike,
        "person": creatures.person,
        "pottedplant": household.pottedplant,
        "sheep": creatures.sheep,
        "sofa": household.sofa,
        "train": vehicles.train,
        "tvmonitor": household.tvmonitor,
    }
)
"""In VOC's alphabetical order: kind k is value k + 1 of SegmentationClass."""
ANIMALS = ("bird", "cat", "cow", "dog", "horse", "sheep")
FLYING = frozenset({"aeroplane"})


def chosen_kinds(count: int) -> list[str]:
    """Choose ``count`` kinds, at most all, half of them animals if there are enough."""
    animals = ANIMALS[: (count + 1) // 2]
    others = [name for name in KINDS if name not in ANIMALS][: max(count - len(animals), 0)]
    return sorted((*animals, *others))
