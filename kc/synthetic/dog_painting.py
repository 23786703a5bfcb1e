"""Painting of one picture of a dog, with its ground, and its mask."""

import numpy as np

from kc.synthetic.beasts import MARKS, Build, Stance
from kc.synthetic.breeds import Breed
from kc.synthetic.figures import extent, moved, paint_parts, turned
from kc.synthetic.ground import ground
from kc.synthetic.painting import MARGIN, SUPERSAMPLE, Painting
from kc.synthetic.parts import Part, vary
from kc.synthetic.quadrupeds import quadruped_parts
from kc.synthetic.scenery import background, cover, light
from kc.synthetic.tones import own_shade


def paint_dog(breed: Breed, rng: np.random.Generator, canvas: int, difficulty: float) -> Painting:
    """Paint one individual; all variation comes from ``rng``."""
    side = canvas * SUPERSAMPLE
    parts = own_shade(dog_parts(breed, rng, difficulty), sorted(MARKS), rng, difficulty)
    parts = _place(parts, rng, side, difficulty)
    picture = background(rng, side, difficulty)
    low, high = extent(parts)
    ground(picture, rng, float(low[0]), float(high[0]), float(high[1]))
    mask = paint_parts(picture, parts)
    cover(picture, mask, rng, difficulty)
    coverage = np.asarray(mask.reduce(SUPERSAMPLE), dtype=np.float64) / 255
    image = light(np.asarray(picture.reduce(SUPERSAMPLE)), coverage, rng, difficulty)
    return Painting(image, coverage >= 0.5)


def dog_parts(breed: Breed, rng: np.random.Generator, difficulty: float) -> list[Part]:
    """List the parts of one individual, with its own proportions and stance."""
    build = breed.beast.build
    beast = breed.beast._replace(build=Build(*vary(build, 0.12 * difficulty, rng)))
    return quadruped_parts(beast, stance(rng, difficulty))


def stance(rng: np.random.Generator, difficulty: float) -> Stance:
    """Draw the stance of an animal."""
    neck, head, tail, stride = rng.normal(0, 1, 4) * np.array([18, 20, 24, 20]) * difficulty
    return Stance(neck, head, tail, 10 + stride)


def _place(parts: list[Part], rng: np.random.Generator, side: int, difficulty: float) -> list[Part]:
    """Turn, mirror, foreshorten, scale and shift a dog into the canvas."""
    squeeze = 1 - 0.5 * difficulty * rng.random()
    parts = turned(parts, rng.normal(0, 10 * difficulty), bool(rng.integers(2)), squeeze)
    low, high = extent(parts)
    room = side * (1 - 2 * MARGIN)
    scale = room * rng.uniform(0.95 - 0.35 * difficulty, 0.95) / (high - low).max()
    free = room - scale * (high - low)
    at = np.array(
        [0.5 + difficulty * rng.uniform(-0.5, 0.5), 0.7 + 0.3 * difficulty * rng.random()]
    )
    return moved(parts, scale, side * MARGIN + free * at - scale * low)
