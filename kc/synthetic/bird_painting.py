"""Painting of one picture of a bird, with its background, and its mask."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from kc.synthetic.birds import Posture, bird_parts, feet
from kc.synthetic.painting import MARGIN, SUPERSAMPLE, Painting
from kc.synthetic.parts import Part, vary
from kc.synthetic.scenery import background, cover, light, twig
from kc.synthetic.species import MARKS, Proportions, Species
from kc.synthetic.tones import own_shade


def paint(species: Species, rng: np.random.Generator, canvas: int, difficulty: float) -> Painting:
    """Paint one individual; all variation comes from ``rng``."""
    side = canvas * SUPERSAMPLE
    shape = Proportions(*vary(species.shape, 0.16 * difficulty, rng))
    parts = bird_parts(species._replace(shape=shape), _posture(rng, difficulty))
    parts = own_shade(parts, MARKS, rng, difficulty, tint=12.0)
    parts, perch = _place(parts, rng, side, difficulty)
    picture = background(rng, side, difficulty)
    _perch(picture, perch, rng)
    mask = _paint_parts(picture, parts)
    cover(picture, mask, rng, difficulty)
    coverage = np.asarray(mask.reduce(SUPERSAMPLE), dtype=np.float64) / 255
    image = light(np.asarray(picture.reduce(SUPERSAMPLE)), coverage, rng, difficulty)
    return Painting(image, coverage >= 0.5)


def _posture(rng: np.random.Generator, difficulty: float) -> Posture:
    head, tail, wing = rng.normal(0, 1, 3) * np.array([24, 20, 14]) * difficulty
    return Posture(head, tail, wing)


def _place(
    parts: list[Part], rng: np.random.Generator, side: int, difficulty: float
) -> tuple[list[Part], NDArray[np.float64]]:
    """Turn, mirror, foreshorten, scale and shift a bird into the canvas; also return its perch."""
    turn = np.radians(rng.normal(0, 24 * difficulty))
    mirror = rng.choice([-1.0, 1.0])
    squeeze = 1 - 0.5 * difficulty * rng.random()
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.diag([mirror, 1.0]) @ rotation @ np.diag([squeeze, 1.0])
    outer = np.concatenate([part.points for part in parts if not part.within]) @ matrix.T
    low, high = outer.min(axis=0), outer.max(axis=0)
    room = side * (1 - 2 * MARGIN)
    scale = room * rng.uniform(0.95 - 0.35 * difficulty, 0.95) / (high - low).max()
    free = room - scale * (high - low)
    shift = side * MARGIN + free * (0.5 + difficulty * rng.uniform(-0.5, 0.5, 2)) - scale * low
    placed = [part._replace(points=part.points @ matrix.T * scale + shift) for part in parts]
    return placed, feet(parts) @ matrix.T * scale + shift


def _perch(picture: Image.Image, at: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Paint the branch on which the bird stands."""
    side = picture.width
    slope = rng.normal(0, 0.12)
    half = side * rng.uniform(0.012, 0.028)
    reach = np.array([1.0, slope]) * side
    middle = at + np.array([0.0, half])
    twig(rng, ImageDraw.Draw(picture), middle - reach, middle + reach, half)


def _paint_parts(picture: Image.Image, parts: list[Part]) -> Image.Image:
    """Paint the parts in order; return the mask of the bird.

    :func:`kc.synthetic.figures.paint_parts` does the same, but rounds a few corners differently,
    so birds would differ from those of earlier versions.
    """
    groups: dict[str, Image.Image] = {}
    bird = Image.new("L", picture.size)
    for part in parts:
        shape = Image.new("L", picture.size)
        corners = [(float(x), float(y)) for x, y in part.points]
        ImageDraw.Draw(shape).polygon(corners, fill=round(255 * part.strength))
        if part.within:
            shape = ImageChops.darker(shape, groups[part.within])
        else:
            bird = ImageChops.lighter(bird, shape)
        known = groups.get(part.name)
        groups[part.name] = ImageChops.lighter(known, shape) if known else shape
        # painting only within the bounds is seven times as fast
        if (bounds := shape.getbbox()) is not None:
            picture.paste(part.colour, bounds, shape.crop(bounds))
    return bird
