"""Polygons of the drawn pictures: x right, y down, angles in degrees."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(2,) for one point, (corners, 2) for a polygon."""
_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)[:, None]
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)


class Frame(NamedTuple):
    """Axes of a body, a wing or a tail: along it, and across it to its back or left."""

    origin: Points
    along: Points
    across: Points

    def at(self, s: float, v: float) -> Points:
        """Return one point, (2,)."""
        return np.asarray(self.origin + s * self.along + v * self.across)

    def trace(self, corners: Iterable[tuple[float, float]]) -> Points:
        """Return a polygon, (corners, 2)."""
        return np.array([self.at(s, v) for s, v in corners])


def direction(degrees: float) -> Points:
    """Return the unit vector ``degrees`` over the horizontal."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle), -np.sin(angle)])


def rotate(vector: Points, degrees: float) -> Points:
    """Turn a vector clockwise as seen (y points down)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([vector[0] * cos - vector[1] * sin, vector[0] * sin + vector[1] * cos])


def disc(centre: Points, radius: float) -> Points:
    """Return a circle as polygon."""
    return oval(centre, radius, radius, 0.0)


def oval(centre: Points, length: float, width: float, tilt: float) -> Points:
    """Return an ellipse whose long axis is ``tilt`` degrees over the horizontal."""
    axis = direction(tilt)
    side = np.array([axis[1], -axis[0]])
    return np.asarray(centre + length * _COS * axis + width * _SIN * side)


def line(start: Points, end: Points, half: float) -> Points:
    """Return a thick line as polygon."""
    axis = (end - start) / np.linalg.norm(end - start)
    side = np.array([axis[1], -axis[0]]) * half
    return np.array([start + side, end + side, end - side, start - side])
