"""Colours of drawn figures: mixing, darkening, and the shade of an individual."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kc.synthetic.parts import Colour, Part


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return a colour between ``a`` (share 0) and ``b`` (share 1)."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return (red, green, blue)


def darker(colour: Colour, share: float) -> Colour:
    """Return a colour darkened by a share."""
    return mix(colour, (14, 12, 14), share)


def own_shade(
    parts: list[Part],
    worn: Sequence[str],
    rng: np.random.Generator,
    difficulty: float,
    tint: float = 8.0,
) -> list[Part]:
    """Shift all colours of one individual together, and fade each of the ``worn`` markings.

    ``tint`` is the standard deviation of the shift of one colour, at difficulty 1.
    """
    shift = rng.normal(0, tint * difficulty, 3) + rng.normal(0, 14 * difficulty)
    wear = {name: 1 - difficulty * rng.random() for name in worn}
    return [
        part._replace(
            colour=shifted_colour(part.colour, shift),
            strength=part.strength * wear.get(part.name, 1.0),
        )
        for part in parts
    ]


def shifted_colour(colour: Colour, shift: NDArray[np.float64]) -> Colour:
    """Add ``shift``, (3,), to a colour."""
    red, green, blue = np.clip(np.rint(np.asarray(colour) + shift), 0, 255).astype(int).tolist()
    return (red, green, blue)
