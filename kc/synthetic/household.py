"""Household objects of the drawn scenes; x right, y down, any unit.

Each function draws one from a generator; the variation does not depend on the difficulty.
"""

import numpy as np

from kc.synthetic.curves import blob, box, ribbon, shifted
from kc.synthetic.outlines import direction, disc, line, oval
from kc.synthetic.parts import Colour, Part
from kc.synthetic.tones import darker, mix

WOODS: tuple[Colour, ...] = ((150, 104, 64), (196, 152, 100), (98, 66, 46), (222, 206, 178))
CLOTHS: tuple[Colour, ...] = (
    (168, 62, 58), (70, 100, 142), (108, 128, 86), (202, 186, 158), (122, 92, 120), (92, 90, 92),
)  # fmt: skip
WHITE: Colour = (240, 238, 232)


def bottle(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a bottle with a label and a cap."""
    glass = _one(rng, ((52, 96, 62), (112, 66, 36), (150, 188, 196), (58, 70, 110)))
    neck, shoulder = rng.uniform(0.14, 0.2), rng.uniform(-0.75, -0.4)
    half = [(neck, -1.7), (neck, shoulder - 0.3), (0.5, shoulder + 0.2), (0.52, 1.4), (0.44, 1.55)]
    outline = np.array([*half, *((-x, y) for x, y in reversed(half))])
    return [
        Part("glass", outline, glass),
        Part("label", box(-1.0, 0.1, 1.0, 0.95), _one(rng, (WHITE, *CLOTHS)), "glass"),
        Part(
            "shine",
            ribbon(np.array([(-0.3, -0.3), (-0.32, 1.4)]), (0.06, 0.06)),
            WHITE,
            "glass",
            0.5,
        ),
        Part("cap", box(-neck - 0.05, -1.95, neck + 0.05, -1.65), _one(rng, CLOTHS)),
    ]


def chair(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a chair from the side and a little above: back, seat, four legs."""
    wood, high = _one(rng, WOODS), -rng.uniform(1.3, 1.7)
    seat = np.array([(-0.75, 0.0), (-0.45, -0.24), (0.95, -0.24), (0.7, 0.0)])
    legs = ((-0.4, -0.15, 1.0), (0.86, -0.15, 1.0), (-0.68, 0.0, 1.3), (0.62, 0.0, 1.3))
    shades = (0.35, 0.35, 0.1, 0.1)
    cushion = _one(rng, (*CLOTHS, wood))
    rungs = np.arange(high + 0.12, -0.35, rng.uniform(0.26, 0.45))
    return [
        *(Part("leg", line(np.array([x, y]), np.array([x, low]), 0.075), darker(wood, shade))
          for (x, y, low), shade in zip(legs, shades, strict=True)),
        *(Part("rung", np.array([(-0.7, y), (-0.42, y - 0.2), (-0.42, y - 0.06), (-0.7, y + 0.14)]),
               darker(wood, 0.15)) for y in rungs),
        Part("post", line(np.array([-0.42, -0.2]), np.array([-0.48, high - 0.2]), 0.07),
             darker(wood, 0.25)),
        Part("post", line(np.array([-0.7, 0.0]), np.array([-0.78, high]), 0.08), wood),
        Part("seat", seat, cushion),
        Part("edge", box(-0.76, 0.0, 0.71, 0.14), darker(wood, 0.1)),
    ]  # fmt: skip


def diningtable(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a laid table."""
    wood, wide = _one(rng, WOODS), rng.uniform(1.5, 2.0)
    top = np.array([(-wide, 0.0), (-wide + 0.45, -0.5), (wide - 0.45, -0.5), (wide, 0.0)])
    cover = mix(wood, _one(rng, (WHITE, *CLOTHS)), 0.1 if rng.random() < 0.5 else 0.85)
    dishes = rng.uniform(-wide + 0.7, wide - 0.7, 3)
    legs = ((-wide + 0.5, 0.75, 0.35), (wide - 0.5, 0.75, 0.35), (-wide + 0.15, 1.15, 0.12),
            (wide - 0.15, 1.15, 0.12))  # fmt: skip
    return [
        *(
            Part("leg", box(x - 0.09, -0.1, x + 0.09, low), darker(wood, shade))
            for x, low, shade in legs
        ),
        Part("top", top, cover),
        Part("edge", box(-wide, 0.0, wide, 0.16), darker(wood, 0.2)),
        *(Part("plate", oval(np.array([x, -0.24]), 0.27, 0.1, 0.0), WHITE) for x in dishes),
        Part(
            "bowl",
            blob(((-0.3, -0.62), (0.3, -0.62), (0.16, -0.3), (-0.16, -0.3))),
            _one(rng, CLOTHS),
        ),
        Part("fruit", disc(np.array([0.05, -0.66]), 0.16), (206, 88, 48)),
    ]


def pottedplant(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a plant in a pot; some flower."""
    clay = _one(rng, ((188, 104, 70), (222, 214, 200), (96, 112, 130)))
    green = mix((62, 118, 58), (128, 156, 70), rng.random())
    length, parts = rng.uniform(0.9, 1.4), []
    for angle in np.linspace(160, 20, int(rng.integers(6, 10))) + rng.normal(0, 8):
        root, way = np.array([0.0, 0.1]), direction(angle)
        leaf = oval(root + 0.68 * length * way, 0.55 * length, 0.17, angle)
        parts.append(Part("leaf", leaf, mix(green, (30, 60, 34), 0.5 * rng.random())))
    if rng.random() < 0.4:
        bloom = _one(rng, ((214, 66, 88), (238, 196, 64), (236, 236, 240)))
        spots = rng.uniform((-0.6, -1.0), (0.6, -0.4), (4, 2))
        parts.extend(Part("flower", disc(spot, 0.16), bloom) for spot in spots)
    pot = np.array([(-0.55, 0.2), (0.55, 0.2), (0.4, 1.15), (-0.4, 1.15)])
    return [
        *parts,
        Part("pot", pot, clay),
        Part("rim", box(-0.62, 0.08, 0.62, 0.32), darker(clay, 0.12)),
    ]


def sofa(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a sofa from the front: back, arms, seat, cushions."""
    cloth, wide, high = _one(rng, CLOTHS), rng.uniform(1.5, 2.0), -rng.uniform(0.9, 1.2)
    arm = blob(((-0.28, -0.3), (0.0, -0.42), (0.28, -0.3), (0.28, 0.75), (-0.28, 0.75)))
    cushion = blob(((-0.3, -0.45), (0.3, -0.45), (0.3, 0.1), (-0.3, 0.1)))
    other = _one(rng, (WHITE, *CLOTHS))
    return [
        *(Part("foot", box(x - 0.08, 0.6, x + 0.08, 0.95), (60, 44, 36)) for x in
          (-wide + 0.1, wide - 0.1)),
        Part("back", blob(((-wide, high), (0.0, high - 0.04), (wide, high), (wide, 0.4),
                           (-wide, 0.4))), darker(cloth, 0.15)),
        Part("seat", box(-wide, 0.1, wide, 0.75), cloth),
        Part("gap", box(-0.03, 0.12, 0.03, 0.45), darker(cloth, 0.4)),
        Part("fold", box(-wide, 0.42, wide, 0.48), darker(cloth, 0.35)),
        *(Part("cushion", shifted(cushion, x, 0.0), other) for x in (-wide + 0.65, wide - 0.65)),
        *(Part("arm", shifted(arm, x, 0.0), mix(cloth, WHITE, 0.12)) for x in (-wide, wide)),
    ]  # fmt: skip


def tvmonitor(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a screen on its stand, with something on it."""
    frame = _one(rng, ((34, 34, 38), (176, 176, 180), (70, 72, 80)))
    wide = rng.uniform(0.95, 1.5)
    sky, land = _one(rng, ((66, 120, 180), (40, 52, 84), (190, 150, 90))), _one(rng, CLOTHS)
    hill = blob(
        (
            (-wide, 0.3),
            (-0.4 * wide, -0.1),
            (0.2 * wide, 0.25),
            (wide, 0.0),
            (wide, 1.2),
            (-wide, 1.2),
        )
    )
    glare = np.array(
        [(-0.7 * wide, -1.0), (-0.3 * wide, -1.0), (-0.9 * wide, 0.7), (-1.2 * wide, 0.7)]
    )
    return [
        Part("neck", box(-0.12, 0.7, 0.12, 1.1), darker(frame, 0.2)),
        Part("stand", oval(np.array([0.0, 1.12]), 0.55, 0.1, 0.0), darker(frame, 0.1)),
        Part("frame", box(-wide, -0.95, wide, 0.78), frame),
        Part("screen", box(-wide + 0.1, -0.85, wide - 0.1, 0.62), sky),
        Part("hill", hill, land, "screen"),
        Part("glare", glare, WHITE, "screen", 0.25),
    ]


def _one(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]
