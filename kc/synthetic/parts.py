"""Parts of drawn figures: polygons of one colour."""

from typing import Any, NamedTuple

import numpy as np

from kc.synthetic.outlines import Points

Colour = tuple[int, int, int]


class Part(NamedTuple):
    """One polygon of one colour."""

    name: str
    points: Points
    """(corners, 2)"""
    colour: Colour
    within: str = ""
    """Name of the parts that clip it; empty: none."""
    strength: float = 1.0
    """Opacity."""


def vary(values: tuple[Any, ...], spread: float, rng: np.random.Generator) -> list[float]:
    """Scale each value by a random factor whose logarithm has the standard deviation ``spread``."""
    factors = np.exp(rng.normal(0, spread, len(values)))
    return [float(a * b) for a, b in zip(values, factors, strict=True)]
