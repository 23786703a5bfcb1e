"""Outlines from a few points: smooth blobs, ribbons of varying width, boxes."""

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
    """Return a smooth closed outline through the corners, (STEPS * corners, 2)."""
    points = np.array(corners)
    near = np.stack([np.roll(points, 1 - k, axis=0) for k in range(4)], axis=1)
    return np.asarray((_BASIS @ near).reshape(-1, 2))


def ribbon(spine: Points, halves: Sequence[float]) -> Points:
    """Return a band along ``spine``, (points, 2), with half its width at each point."""
    steps = np.gradient(spine, axis=0)
    side = np.stack([steps[:, 1], -steps[:, 0]], axis=1)
    side *= np.asarray(halves)[:, None] / np.linalg.norm(side, axis=1, keepdims=True)
    return np.concatenate([spine + side, (spine - side)[::-1]])


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def ring(centre: Points, radius: float, half: float) -> Points:
    """Return a wheel's rim as one polygon: its outside, then its inside reversed."""
    turn = np.linspace(0, 2 * np.pi, 28)
    unit = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([centre + (radius + half) * unit, centre + (radius - half) * unit[::-1]])


def shifted(points: Points, x: float, y: float) -> Points:
    """Return a shifted point, (2,), or outline, (corners, 2)."""
    return np.asarray(points + np.array([x, y]))
