"""Types that describe a drawn four-legged animal: build, coat, ears, marks and stance.

Lengths are in units of half the trunk's length, x right and y down; the origin is the trunk's
centre.
"""

from typing import NamedTuple

import numpy as np

from kc.synthetic.outlines import Points, direction
from kc.synthetic.parts import Colour

MARKS = (
    "saddle",
    "belt",
    "patches",
    "spots",
    "brindle",
    "bib",
    "socks",
    "tail_tip",
    "blaze",
    "dark_muzzle",
    "dark_ears",
    "eye_patch",
)


class Build(NamedTuple):
    """Proportions; lengths in units of half a trunk's length, angles in degrees."""

    depth: float
    """Half the trunk's height at the chest."""
    tuck: float
    """How far the belly rises towards the hind legs, 0 to 1."""
    leg: float
    leg_width: float
    neck: float
    neck_angle: float
    neck_width: float
    head: float
    muzzle: float
    muzzle_depth: float
    ear: float
    tail: float
    tail_width: float
    tail_angle: float
    """Angle of the tail's root over the horizontal."""
    tail_curl: float
    """Angle by which the tail bends up and forward to its tip."""
    fringe: float
    """Length of the hair under the belly."""


class Coat(NamedTuple):
    """Colours."""

    base: Colour
    dark: Colour
    light: Colour
    nose: Colour = (30, 26, 28)


class Beast(NamedTuple):
    """An animal without its stance."""

    build: Build
    coat: Coat
    ears: str
    """``pricked``, ``dropped`` or ``folded``."""
    marks: frozenset[str]
    """Members of ``MARKS``."""


class Stance(NamedTuple):
    """Posture of one individual; angles in degrees relative to the usual posture."""

    neck: float = 0.0
    head: float = 0.0
    tail: float = 0.0
    stride: float = 12.0
    """Swing of the legs."""


class Head(NamedTuple):
    """Position of the head, and its axes (unit vectors)."""

    at: Points
    look: Points
    up: Points


def head_of(build: Build, stance: Stance) -> Head:
    """Return position and axes of the head of an animal in this stance."""
    rise = direction(build.neck_angle + stance.neck)
    look = direction(stance.head - 10)
    at = np.array([0.78, -0.45 * build.depth]) + rise * (build.neck + 0.5 * build.head)
    return Head(at, look, np.array([look[1], -look[0]]))
