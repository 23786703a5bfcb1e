"""What every drawn figure is made of: polygons of one colour."""

from typing import NamedTuple

from kc.synthetic.outlines import Points

Colour = tuple[int, int, int]


class Part(NamedTuple):
    """One polygon of one colour."""

    name: str
    points: Points
    """(corners, 2)"""
    colour: Colour
    within: str = ""
    """Group that clips it; empty: none."""
    strength: float = 1.0
    """Opacity."""
