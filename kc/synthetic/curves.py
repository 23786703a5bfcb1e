"""Outlines made from a few points: smooth blobs, ribbons of changing width, boxes."""

from collections.abc import Sequence

import numpy as np

from kc.synthetic.outlines import Points

STEPS = 5
"""Corners between two given points of a smooth outline."""
_T = np.arange(STEPS)[:, None] / STEPS
_BASIS = 0.5 * np.concatenate(
    [-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, _T**3 - _T**2],
    axis=1,
)
"""Catmull-Rom weights of the four nearest points, (STEPS, 4)."""


def blob(corners: Sequence[tuple[float, float]]) -> Points:
    """Trace a smooth closed outline through the corners, (STEPS * corners, 2)."""
    points = np.array(corners)
    near = np.stack([np.roll(points, 1 - k, axis=0) for k in range(4)], axis=1)
    return np.asarray((_BASIS @ near).reshape(-1, 2))


def ribbon(spine: Points, halves: Sequence[float]) -> Points:
    """Trace a band along ``spine``, (points, 2), with half a width at each of its points."""
    steps = np.gradient(spine, axis=0)
    side = np.stack([steps[:, 1], -steps[:, 0]], axis=1)
    side *= np.asarray(halves)[:, None] / np.linalg.norm(side, axis=1, keepdims=True)
    return np.concatenate([spine + side, (spine - side)[::-1]])


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Trace an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def ring(centre: Points, radius: float, half: float) -> Points:
    """Trace a wheel's rim as one polygon: out along the outside, back along the inside."""
    turn = np.linspace(0, 2 * np.pi, 28)
    unit = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([centre + (radius + half) * unit, centre + (radius - half) * unit[::-1]])


def shifted(points: Points, x: float, y: float) -> Points:
    """Move a point, (2,), or an outline, (corners, 2)."""
    return np.asarray(points + np.array([x, y]))
