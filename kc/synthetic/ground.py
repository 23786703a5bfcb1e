"""Ground under figures, and their shadows."""

import numpy as np
from PIL import Image, ImageDraw

TONES = (
    (132, 148, 92),
    (156, 140, 108),
    (196, 178, 138),
    (150, 150, 148),
    (206, 206, 204),
    (104, 118, 78),
)
"""Grass, earth, sand, stone, snow, moss."""


def ground(
    picture: Image.Image, rng: np.random.Generator, left: float, right: float, foot: float
) -> None:
    """Paint ground down to the picture's lower edge, and a shadow under one figure.

    ``left``, ``right`` and ``foot`` bound the figure, px.
    """
    side = picture.width
    horizon = min(foot - side * rng.uniform(0.02, 0.2), side * 0.97)
    land(picture, rng, horizon)
    shadow(picture, left, right, foot)


def land(picture: Image.Image, rng: np.random.Generator, horizon: float) -> None:
    """Fill a picture with ground below ``horizon``, px, with a few blades and stones on it."""
    side = picture.width
    tone = np.array(TONES[int(rng.integers(len(TONES)))]) + rng.integers(-14, 15)
    pen = ImageDraw.Draw(picture)
    slope = side * rng.normal(0, 0.015)
    edge = [(0.0, horizon - slope), (float(side), horizon + slope)]
    pen.polygon([*edge, (float(side), float(side)), (0.0, float(side))], fill=_rgb(tone))
    for x, depth in rng.random((14, 2)).tolist():
        y, size = horizon + slope + (side - horizon) * depth, side * (0.006 + 0.012 * depth)
        shade = _rgb(tone * rng.uniform(0.8, 1.08))
        pen.ellipse((x * side - 3 * size, y, x * side + 3 * size, y + size), fill=shade)


def shadow(picture: Image.Image, left: float, right: float, foot: float) -> None:
    """Darken the ground under a figure; all in px."""
    half = 0.06 * (right - left)
    bounds = (round(left), round(foot - half), round(right) + 1, round(foot + 0.8 * half) + 1)
    bounds = (max(bounds[0], 0), max(bounds[1], 0), min(bounds[2], picture.width),
              min(bounds[3], picture.height))  # fmt: skip
    if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        return
    shape = Image.new("L", (bounds[2] - bounds[0], bounds[3] - bounds[1]))
    ImageDraw.Draw(shape).ellipse((0, 0, shape.width - 1, shape.height - 1), fill=90)
    picture.paste((24, 22, 26), bounds, shape)


def _rgb(tone: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.rint(tone), 0, 255).astype(int).tolist()
    return (red, green, blue)
