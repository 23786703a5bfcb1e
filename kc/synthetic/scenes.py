"""Painting of one picture of several objects, which may hide each other or be cut off."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from kc.synthetic import beasts, species
from kc.synthetic.figures import Extent, extent, moved, paint_parts, turned
from kc.synthetic.ground import land, shadow
from kc.synthetic.kinds import FLYING, KINDS
from kc.synthetic.painting import SUPERSAMPLE
from kc.synthetic.parts import Part
from kc.synthetic.scenery import background, cover, light
from kc.synthetic.tones import own_shade

SIZES = {1: (0.5, 0.9), 2: (0.38, 0.65), 3: (0.32, 0.55), 4: (0.28, 0.48)}
"""Range of an object's longer side, as share of the picture, by number of objects."""
FAR_AWAY = 0.07
"""Share of objects that are drawn at 0.4 of their size."""
TRIES = 3
"""Places tried for an object; the one that hides least is used."""
_MARKS = sorted({*beasts.MARKS, *species.MARKS})


class Thing(NamedTuple):
    """One object of a scene."""

    kind: str
    visible: Bool[np.ndarray, "h w"]
    whole: int
    """Pixels it would cover with nothing in front of it."""
    cut: bool
    """Whether the edge of the picture cuts it off."""


class Scene(NamedTuple):
    """A picture and its objects, back to front; each has at least one visible pixel."""

    image: UInt8[np.ndarray, "h w 3"]
    things: list[Thing]


class _Placed(NamedTuple):
    kind: str
    parts: list[Part]
    extent: Extent


def paint_scene(
    kinds: list[str], rng: np.random.Generator, canvas: int, difficulty: float
) -> Scene:
    """Paint one object of each of ``kinds`` (one to four, repeats allowed).

    An object that others hide completely is not in ``things``. All variation comes from
    ``rng``.
    """
    side = canvas * SUPERSAMPLE
    picture = background(rng, side, 0.7 * difficulty)
    horizon = side * rng.uniform(0.35, 0.6)
    land(picture, rng, horizon)
    masks = []
    placed = _placed(kinds, rng, side, horizon, difficulty)
    for each in placed:
        low, high = each.extent
        if each.kind not in FLYING:
            shadow(picture, float(low[0]), float(high[0]), float(high[1]))
        masks.append(np.asarray(paint_parts(picture, each.parts).reduce(SUPERSAMPLE)))
    clear = Image.new("L", picture.size, 255)
    cover(picture, clear, rng, difficulty)
    things = _things(placed, masks, np.asarray(clear.reduce(SUPERSAMPLE)) >= 128, side)
    coverage = np.max(masks, axis=0).astype(np.float64) / 255
    image = light(np.asarray(picture.reduce(SUPERSAMPLE)), coverage, rng, difficulty)
    return Scene(image, things)


def _placed(
    kinds: list[str], rng: np.random.Generator, side: int, horizon: float, difficulty: float
) -> list[_Placed]:
    """Set size and place of every object, sorted from back (top) to front (bottom)."""
    placed: list[_Placed] = []
    for kind in kinds:
        squeeze, tilt = 1 - 0.7 * difficulty * rng.random(), rng.normal(0, 10 * difficulty)
        parts = own_shade(KINDS[kind](rng, difficulty), _MARKS, rng, difficulty)
        parts = turned(parts, tilt, bool(rng.integers(2)), squeeze)
        low, high = extent(parts)
        size = rng.uniform(*SIZES[len(kinds)]) * (0.4 if rng.random() < FAR_AWAY else 1.0)
        scale = side * size / (high - low).max()
        spots = [_spot(kind, scale * (high - low), rng, side, horizon) for _ in range(TRIES)]
        spot = min(spots, key=lambda at: _hidden(at, placed))
        placed.append(_Placed(kind, moved(parts, scale, spot.low - scale * low), spot))
    return sorted(placed, key=lambda each: float(each.extent.high[1]))


def _spot(
    kind: str, span: np.ndarray, rng: np.random.Generator, side: int, horizon: float
) -> Extent:
    """Draw a place: on the ground, or anywhere if it flies; up to a third may be cut off."""
    left = rng.uniform(-0.3 * span[0], side - 0.7 * span[0])
    foot = rng.uniform(max(horizon + 0.03 * side, 0.8 * span[1]), side + 0.15 * span[1])
    if kind in FLYING:
        foot = rng.uniform(0.9 * span[1], max(span[1], 0.75 * side))
    low = np.array([left, foot - span[1]])
    return Extent(low, low + span)


def _hidden(spot: Extent, placed: list[_Placed]) -> float:
    """Sum over earlier objects the overlap of the two boxes as share of the smaller one."""
    total = 0.0
    for each in placed:
        low = np.maximum(spot.low, each.extent.low)
        common = np.clip(np.minimum(spot.high, each.extent.high) - low, 0, None).prod()
        areas = ((box.high - box.low).prod() for box in (spot, each.extent))
        total += float(common / min(areas))
    return total


def _things(
    placed: list[_Placed],
    coverage: list[UInt8[np.ndarray, "h w"]],
    clear: Bool[np.ndarray, "h w"],
    side: int,
) -> list[Thing]:
    """Find the visible pixels of each object; ``clear`` is where no leaf is in front of them."""
    things = []
    for each, covered in zip(reversed(placed), reversed(coverage), strict=True):
        cut = bool((each.extent.low < 0).any() or (each.extent.high > side).any())
        mask = covered >= 128
        if (visible := mask & clear).any():
            things.append(Thing(each.kind, visible, int(mask.sum()), cut))
        clear = clear & ~mask
    return things[::-1]
