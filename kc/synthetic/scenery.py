"""Background, light and leaves of a drawn picture, which do not depend on the class."""

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageDraw

TONES = (
    (176, 202, 224),
    (206, 220, 222),
    (142, 168, 104),
    (104, 136, 84),
    (188, 178, 132),
    (160, 140, 112),
    (222, 204, 170),
    (120, 146, 150),
)
"""Sky, mist, leaves, moss, straw, earth, dusk, water."""


def background(rng: np.random.Generator, side: int, difficulty: float) -> Image.Image:
    """Paint a soft background: a gradient, out-of-focus patches, twigs and leaves.

    ``difficulty`` 0 gives only a gradient, 1 strong patches and about a dozen sharp objects.
    """
    first, second, third = rng.choice(len(TONES), 3, replace=False)
    grid = np.linspace(0, 1, 6)[:, None, None]
    soft = np.asarray(TONES[first]) * (1 - grid) + np.asarray(TONES[second]) * grid
    soft = np.broadcast_to(soft, (6, 6, 3)) + rng.normal(0, 34 * difficulty, (6, 6, 1))
    patches = (rng.random((6, 6, 1)) < 0.3 * difficulty) * 0.6
    soft = soft * (1 - patches) + np.asarray(TONES[third]) * patches
    small = Image.fromarray(np.clip(soft, 0, 255).astype(np.uint8))
    picture = small.resize((side, side), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.poisson(5 * difficulty)):
        corners = _leaf_outline(rng, rng.uniform(0, side, 2), side * rng.uniform(0.05, 0.13))
        pen.polygon(corners, fill=_leaf_tone(rng))
    for _ in range(rng.poisson(2.5 * difficulty)):
        ends = rng.uniform(-0.1, 1.1, (2, 2)) * side
        twig(rng, pen, ends[0], ends[1], side * rng.uniform(0.006, 0.022))
    return picture


def twig(
    rng: np.random.Generator,
    pen: ImageDraw.ImageDraw,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    half: float,
) -> None:
    """Paint a slightly crooked twig, lit from above; ``half`` is half its thickness, px."""
    steps = np.linspace(0, 1, 6)[:, None]
    path = start + (end - start) * steps
    path[1:-1] += rng.normal(0, half * 0.6, (4, 2))
    bark = np.array([96, 76, 56]) + rng.integers(-22, 23)
    for shift, shade in ((0.0, 0.72), (-0.35 * half, 1.0)):
        corners = [(float(x), float(y + shift)) for x, y in path]
        red, green, blue = (int(value) for value in bark * shade)
        pen.line(corners, fill=(red, green, blue), width=max(1, round(2 * half)), joint="curve")


def light(
    picture: UInt8[np.ndarray, "h w 3"],
    foreground: Float[np.ndarray, "h w"],
    rng: np.random.Generator,
    difficulty: float,
) -> UInt8[np.ndarray, "h w 3"]:
    """Shade the figure from above, then light and tint the picture, and add grain.

    Colours vary only slightly: strong changes would hide the differences between classes.
    """
    height = picture.shape[0]
    rows = np.nonzero(foreground.max(axis=1) > 0)[0]
    depth = np.clip((np.arange(height) - rows[0]) / max(np.ptp(rows), 1), 0, 1)
    shade = 1 + foreground * (0.14 - 0.30 * depth)[:, None]
    gain = rng.uniform(1 - 0.3 * difficulty, 1 + 0.16 * difficulty)
    tint = 1 + rng.normal(0, 0.05 * difficulty, 3)
    grain = rng.normal(0, 2 + 6 * difficulty, (*foreground.shape, 1))
    lit = picture * shade[:, :, None] * gain * tint + grain
    return np.asarray(np.clip(np.rint(lit), 0, 255), dtype=np.uint8)


def cover(
    picture: Image.Image, bird: Image.Image, rng: np.random.Generator, difficulty: float
) -> None:
    """Put leaves in front of the figure, and remove what they hide from its mask."""
    low_x, low_y, high_x, high_y = bird.getbbox() or (0, 0, *bird.size)
    span = max(high_x - low_x, high_y - low_y)
    for _ in range(rng.poisson(1.6 * difficulty)):
        at = rng.uniform((low_x, low_y), (high_x, high_y))
        corners = _leaf_outline(rng, at, span * rng.uniform(0.07, 0.14))
        ImageDraw.Draw(picture).polygon(corners, fill=_leaf_tone(rng))
        ImageDraw.Draw(bird).polygon(corners, fill=0)


def _leaf_outline(
    rng: np.random.Generator, at: NDArray[np.float64], length: float
) -> list[tuple[float, float]]:
    angle = rng.uniform(0, np.pi)
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    along, across = length * np.cos(turn), length * 0.38 * np.sin(turn) * (1 - 0.4 * np.cos(turn))
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = at[0] + along * cos - across * sin, at[1] + along * sin + across * cos
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def _leaf_tone(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (np.array([96, 124, 66]) + rng.integers(-30, 31, 3)).tolist()
    return (red, green, blue)
