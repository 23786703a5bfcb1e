"""Transformation and painting of figures that consist of parts."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from kc.synthetic.outlines import Points
from kc.synthetic.parts import Part


class Extent(NamedTuple):
    """The upright box around a figure; corners (2,)."""

    low: Points
    high: Points


def turned(parts: list[Part], degrees: float, mirrored: bool, squeeze: float) -> list[Part]:
    """Foreshorten a figure along x by ``squeeze``, turn it, then mirror it if ``mirrored``."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.diag([-1.0 if mirrored else 1.0, 1.0]) @ rotation @ np.diag([squeeze, 1.0])
    return [part._replace(points=part.points @ matrix.T) for part in parts]


def moved(parts: list[Part], scale: float, shift: Points) -> list[Part]:
    """Scale a figure about the origin, then shift it by (2,)."""
    return [part._replace(points=part.points * scale + shift) for part in parts]


def extent(parts: list[Part]) -> Extent:
    """Return the bounds of a figure, without parts that others clip."""
    outer = np.concatenate([part.points for part in parts if not part.within])
    return Extent(outer.min(axis=0), outer.max(axis=0))


def paint_parts(picture: Image.Image, parts: list[Part]) -> Image.Image:
    """Paint the parts in order; return the figure's mask ("L", of the picture's size).

    Parts are clipped to the picture.
    """
    clips = {part.within for part in parts if part.within}
    groups = {name: Image.new("L", picture.size) for name in clips}
    figure = Image.new("L", picture.size)
    for part in parts:
        bounds = _bounds(part.points, picture.size)
        if bounds is None:
            continue
        shape = _shape(part, bounds)
        if part.within:
            shape = ImageChops.darker(shape, groups[part.within].crop(bounds))
        else:
            _join(figure, shape, bounds)
        if part.name in groups:
            _join(groups[part.name], shape, bounds)
        picture.paste(part.colour, bounds, shape)
    return figure


def _bounds(points: Points, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    box = (max(int(left), 0), max(int(top), 0), min(int(right) + 2, size[0]),
           min(int(bottom) + 2, size[1]))  # fmt: skip
    return box if box[0] < box[2] and box[1] < box[3] else None


def _shape(part: Part, bounds: tuple[int, int, int, int]) -> Image.Image:
    """Draw one polygon into a separate image of the size of its bounds."""
    left, top, right, bottom = bounds
    shape = Image.new("L", (right - left, bottom - top))
    corners = (part.points - (left, top)).ravel().tolist()
    ImageDraw.Draw(shape).polygon(corners, fill=round(255 * part.strength))
    return shape


def _join(mask: Image.Image, shape: Image.Image, bounds: tuple[int, int, int, int]) -> None:
    mask.paste(ImageChops.lighter(mask.crop(bounds), shape), bounds)
