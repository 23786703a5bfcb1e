"""Breeds, the classes of the drawn dogs.

Breeds are in groups of four. A group has one build, type of ears, coat and marking; its breeds
differ in small proportions and in two further markings, which each has or lacks, so that only
parts distinguish them, as with real dogs. A breed depends only on its number and the seed, not on
the number of classes.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kc.runtime import derive_seed
from kc.synthetic.beasts import MARKS, Beast, Build, Coat

BREEDS_PER_GROUP = 4
SHARED_MARKS = 1
SIZES = 0.07
"""Standard deviation of the logarithm of proportions within a group."""


class Breed(NamedTuple):
    """One class."""

    name: str
    beast: Beast


class _Type(NamedTuple):
    """Common features of a group of breeds."""

    name: str
    build: Build
    ears: str


TYPES = (
    _Type("hound", Build(0.44, 0.35, 0.62, 0.115, 0.42, 52, 0.26, 0.36, 0.40, 0.24, 0.75,
                         0.95, 0.065, 40, 60, 0.0), "dropped"),
    _Type("spitz", Build(0.50, 0.10, 0.52, 0.125, 0.30, 58, 0.40, 0.42, 0.24, 0.20, 0.50,
                         1.15, 0.15, 75, 150, 0.10), "pricked"),
    _Type("courser", Build(0.40, 0.85, 0.86, 0.085, 0.58, 56, 0.18, 0.28, 0.44, 0.15, 0.55,
                           1.10, 0.04, -35, 50, 0.0), "folded"),
    _Type("mastiff", Build(0.54, 0.20, 0.55, 0.165, 0.28, 46, 0.42, 0.48, 0.18, 0.32, 0.45,
                           0.70, 0.07, 5, 40, 0.0), "folded"),
    _Type("terrier", Build(0.38, 0.20, 0.34, 0.105, 0.36, 66, 0.24, 0.40, 0.34, 0.22, 0.60,
                           0.50, 0.055, 70, 10, 0.14), "pricked"),
    _Type("spaniel", Build(0.46, 0.15, 0.44, 0.115, 0.36, 54, 0.28, 0.38, 0.26, 0.22, 1.05,
                           0.75, 0.12, 10, 20, 0.18), "dropped"),
    _Type("sheepdog", Build(0.48, 0.20, 0.56, 0.125, 0.36, 44, 0.36, 0.38, 0.32, 0.18, 0.50,
                            1.05, 0.15, -40, 60, 0.16), "folded"),
)  # fmt: skip

COATS = (
    Coat((176, 122, 70), (58, 40, 30), (242, 234, 218)),  # tan
    Coat((216, 184, 132), (104, 70, 44), (250, 246, 236)),  # gold
    Coat((72, 66, 68), (164, 104, 58), (236, 232, 226)),  # black, marked tan
    Coat((128, 134, 144), (54, 58, 70), (238, 238, 236)),  # blue-grey
    Coat((136, 66, 40), (56, 26, 18), (244, 226, 204)),  # red-brown
)

EPITHETS = (
    "Hill", "River", "Moss", "Island", "Harbour", "Heath", "Winter", "Thorn", "Marsh", "Canyon",
    "Dune", "Alder", "Forest", "Valley", "Prairie", "Highland", "Coast", "Lake", "Steppe", "Fen",
    "Copper", "Ember", "Cloud", "Flint", "Birch", "Cedar", "Maple", "Juniper", "Orchard", "Meadow",
    "Border", "Castle",
)  # fmt: skip


@lru_cache(maxsize=256)
def breed(number: int, seed: int) -> Breed:
    """Return the breed of class ``number`` (from 0)."""
    group, member = divmod(number, BREEDS_PER_GROUP)
    line = TYPES[group % len(TYPES)]
    rng = np.random.default_rng(derive_seed("dog group", seed, group))
    marks = _group_marks(rng)
    own = np.random.default_rng(derive_seed("breed", seed, number))
    build = Build(*(float(value * np.exp(own.normal(0, SIZES))) for value in line.build))
    coat = COATS[(group + group // len(COATS)) % len(COATS)]
    return Breed(_name(number, seed), Beast(build, coat, line.ears, marks[member]))


def _name(number: int, seed: int) -> str:
    """Return the name of a breed; the first 224 names are different."""
    group, member = divmod(number, BREEDS_PER_GROUP)
    again, kind = divmod(group, len(TYPES))
    rng = np.random.default_rng(derive_seed("dog names", seed, kind))
    place = (again * BREEDS_PER_GROUP + member) % len(EPITHETS)
    return f"{rng.permutation(EPITHETS)[place]}_{TYPES[kind].name}"


def _group_marks(rng: np.random.Generator) -> list[frozenset[str]]:
    """Draw a mark of all members and two others, of which they have none, one, other or both."""
    one, other, *shared = rng.permutation(MARKS)[: SHARED_MARKS + 2].tolist()
    return [frozenset((*shared, *own)) for own in ((), (one,), (other,), (one, other))]
