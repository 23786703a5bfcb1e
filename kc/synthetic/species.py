"""Species, the classes of the drawn birds.

Species are in genera of four. A genus has one shape, one palette (which several genera share) and
two markings; its species differ in small proportions and in two further markings, which each has
or lacks, so that only parts distinguish them, as with real birds. A species depends only on its
number and the seed, not on the number of classes.
"""

from typing import NamedTuple

import numpy as np

from kc.runtime import derive_seed
from kc.synthetic.parts import Colour

SPECIES_PER_GENUS = 4
SHARED_MARKS = 2
SIZES = 0.07
"""Standard deviation of the logarithm of proportions within a genus."""


class Palette(NamedTuple):
    """Colours of a genus."""

    back: Colour
    wing: Colour
    belly: Colour
    accent: Colour
    dark: Colour
    bill: Colour


class Proportions(NamedTuple):
    """Proportions; lengths in units of half a body's length, angles in degrees."""

    body_height: float
    upright: float
    """Angle of the body's axis over the horizontal."""
    head: float
    beak_length: float
    beak_depth: float
    beak_hook: float
    tail_length: float
    tail_width: float
    tail_fork: float
    wing_length: float
    leg_length: float


class Species(NamedTuple):
    """One class."""

    name: str
    palette: Palette
    shape: Proportions
    marks: frozenset[str]
    """Members of ``MARKS``."""


MARKS = (
    "wing_bar",
    "wing_patch",
    "cap",
    "breast",
    "eye_ring",
    "eye_stripe",
    "bib",
    "belly_stripes",
    "belly_spots",
    "tail_band",
    "dark_wing_tip",
)

PALETTES = (
    Palette(  # brown and orange
        (122, 98, 70), (92, 70, 48), (226, 208, 172),
        (206, 92, 42), (46, 36, 30), (84, 70, 58),
    ),
    Palette(  # slate and yellow
        (86, 112, 138), (62, 82, 106), (228, 230, 226),
        (226, 176, 48), (34, 40, 52), (52, 54, 60),
    ),
    Palette(  # olive and red
        (126, 136, 66), (92, 100, 48), (236, 222, 128),
        (196, 60, 52), (44, 48, 28), (88, 78, 58),
    ),
    Palette(  # grey and crimson
        (118, 116, 120), (84, 82, 88), (216, 196, 190),
        (178, 48, 68), (36, 34, 38), (214, 148, 60),
    ),
)  # fmt: skip

SHAPES = (
    Proportions(0.62, 24, 0.46, 0.26, 0.22, 0.02, 0.85, 0.20, 0.10, 1.10, 0.42),  # finch, round
    Proportions(0.52, 34, 0.40, 0.46, 0.15, 0.03, 1.15, 0.22, 0.16, 1.20, 0.58),  # thrush
    Proportions(0.58, 16, 0.42, 0.38, 0.11, 0.02, 0.60, 0.16, 0.00, 0.95, 0.46),  # wren, short tail
    Proportions(0.48, 12, 0.38, 0.30, 0.14, 0.04, 1.45, 0.20, 0.40, 1.35, 0.34),  # swallow, forked
    Proportions(0.60, 44, 0.50, 0.40, 0.26, 0.14, 1.05, 0.26, 0.00, 1.15, 0.46),  # shrike, hooked
)

GENERA = (
    "Finch", "Thrush", "Wren", "Martin", "Shrike", "Bunting", "Chat", "Pipit", "Swallow", "Kestrel",
    "Linnet", "Robin", "Creeper", "Drongo", "Jay",
)  # fmt: skip
EPITHETS = (
    "Northern", "Hill", "River", "Reed", "Moss", "Coral", "Island", "Meadow", "Orchard", "Harbour",
    "Juniper", "Heath", "Lowland", "Winter", "Thorn", "Willow", "Marsh", "Canyon", "Dune", "Alder",
)  # fmt: skip


def species(number: int, seed: int) -> Species:
    """Return the species of class ``number`` (from 0)."""
    genus, member = divmod(number, SPECIES_PER_GENUS)
    rng = np.random.default_rng(derive_seed("genus", seed, genus))
    epithets = rng.permutation(EPITHETS)
    marks = _genus_marks(rng)
    own = np.random.default_rng(derive_seed("species", seed, number))
    shape = SHAPES[genus % len(SHAPES)]
    return Species(
        name=f"{epithets[member]}_{GENERA[genus % len(GENERA)]}",
        palette=PALETTES[(genus + genus // len(PALETTES)) % len(PALETTES)],
        shape=Proportions(*(float(value * np.exp(own.normal(0, SIZES))) for value in shape)),
        marks=marks[member],
    )


def _genus_marks(rng: np.random.Generator) -> list[frozenset[str]]:
    """Draw two marks of all members and two others, of which they have none, one, other or both."""
    while True:
        one, other, *shared = rng.permutation(MARKS)[: SHARED_MARKS + 2].tolist()
        if not {"belly_stripes", "belly_spots"} <= {one, other, *shared}:
            break
    return [frozenset((*shared, *own)) for own in ((), (one,), (other,), (one, other))]
