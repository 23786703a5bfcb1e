"""Vehicles of the drawn scenes, seen from the side; x right, y down, any unit.

Each function draws one from a generator. The variation (proportions, paint, windows) does not
depend on the difficulty: these kinds differ in shape.
"""

import numpy as np

from kc.synthetic.curves import blob, box, ribbon, ring, shifted
from kc.synthetic.outlines import Points, direction, disc, line, oval
from kc.synthetic.parts import Colour, Part
from kc.synthetic.tones import darker, mix

PAINTS: tuple[Colour, ...] = (
    (196, 48, 44), (44, 92, 168), (226, 226, 222), (62, 66, 74), (230, 178, 48), (54, 128, 86),
    (142, 150, 160), (122, 52, 70),
)  # fmt: skip
GLASS: Colour = (168, 198, 212)
RUBBER: Colour = (36, 36, 40)
STEEL: Colour = (172, 176, 182)
WHITE: Colour = (240, 238, 232)


def aeroplane(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw an aeroplane in flight, nose right."""
    trim, slim = _paint(rng), rng.uniform(0.24, 0.36)
    hull = blob(((-2.2, -0.12), (-1.0, -slim), (1.2, -slim), (2.1, -0.02), (1.9, 0.16), (1.2, slim),
                 (-0.9, slim)))  # fmt: skip
    fin = np.array([(-2.25, -1.05), (-1.85, -1.05), (-1.2, -0.15), (-2.1, -0.05)])
    reach = rng.uniform(0.9, 1.3)
    near = np.array([(0.55, 0.1), (-0.15, 0.1), (-1.0, reach), (-0.7, reach)])
    far = np.array([(0.5, -0.1), (-0.05, -0.1), (-0.6, -0.75), (-0.4, -0.75)])
    return [
        Part("far_wing", far, darker(STEEL, 0.25)),
        Part("fin", fin, trim),
        Part("hull", hull, WHITE),
        Part("stripe", box(-2.3, 0.08, 2.2, 0.2), trim, "hull"),
        *(Part("window", disc(np.array([x, -0.08]), 0.065), (60, 72, 92)) for x in
          np.arange(-1.2, 1.4, 0.26)),
        Part("cockpit", np.array([(1.55, -0.2), (1.85, -0.13), (1.9, 0.0), (1.6, -0.02)]),
             (60, 72, 92)),
        Part("wing", near, STEEL),
        Part("engine", oval(np.array([-0.15, 0.52]), 0.3, 0.13, 0.0), darker(STEEL, 0.3)),
        Part("tailplane", np.array([(-1.75, 0.02), (-2.1, 0.02), (-2.55, 0.35), (-2.3, 0.35)]),
             darker(trim, 0.2)),
    ]  # fmt: skip


def bicycle(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a bicycle."""
    tone, r = _paint(rng), rng.uniform(0.72, 0.85)
    back, front = np.array([-1.0, 0.0]), np.array([1.05, 0.0])
    pedals, seat, bar = np.array([-0.15, 0.08]), np.array([-0.42, -0.98]), np.array([0.72, -1.02])
    grip = np.array([bar, shifted(bar, -0.06, -0.26), shifted(bar, 0.22, -0.34)])
    frame = ((back, pedals), (pedals, bar), (seat, bar), (back, seat), (pedals, seat), (front, bar))
    return [
        *(part for hub in (back, front) for part in _spokes(hub, r)),
        *(Part("tyre", ring(hub, r, 0.055), RUBBER) for hub in (back, front)),
        *(Part("frame", line(a, b, 0.06), tone) for a, b in frame),
        Part("crank", disc(pedals, 0.16), darker(STEEL, 0.3)),
        Part("post", line(seat, shifted(seat, -0.05, -0.2), 0.04), STEEL),
        Part("saddle", oval(shifted(seat, -0.05, -0.24), 0.27, 0.09, 0.0), (44, 36, 34)),
        Part("bar", ribbon(grip,
                           (0.05, 0.05, 0.06)), (50, 46, 46)),
    ]  # fmt: skip


def _spokes(hub: Points, radius: float) -> list[Part]:
    ends = (radius * direction(angle) for angle in (15.0, 75.0, 135.0))
    return [Part("spoke", line(hub - end, hub + end, 0.015), STEEL) for end in ends]


def boat(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a boat on a strip of water: half have sails, half a cabin."""
    tone = _paint(rng)
    hull = np.array([(-1.6, 0.2), (1.9, 0.05), (1.35, 0.8), (-1.3, 0.8)])
    parts = _sails(rng) if rng.random() < 0.5 else _cabin(rng)
    crests = [(x, 0.78 + 0.07 * (k % 2)) for k, x in enumerate(np.linspace(-1.55, 1.7, 9).tolist())]
    wave = blob([*crests, (1.3, 1.0), (-1.2, 1.0)])
    return [
        *parts,
        Part("hull", hull, tone),
        Part(
            "trim", np.array([(-1.7, 0.2), (2.0, 0.02), (2.0, 0.18), (-1.7, 0.36)]), WHITE, "hull"
        ),
        Part("wave", wave, (98, 138, 166)),
    ]


def _sails(rng: np.random.Generator) -> list[Part]:
    high, cloth = rng.uniform(1.7, 2.4), mix(WHITE, _paint(rng), 0.35 * rng.random())
    return [
        Part("mast", line(np.array([0.15, 0.2]), np.array([0.15, -high]), 0.05), (120, 88, 60)),
        Part("sail", np.array([(0.05, -high), (0.05, 0.0), (-1.3, 0.0)]), cloth),
        Part("jib", np.array([(0.27, -0.9 * high), (1.6, 0.02), (0.27, 0.02)]), darker(cloth, 0.1)),
    ]


def _cabin(rng: np.random.Generator) -> list[Part]:
    top = -rng.uniform(0.5, 0.8)
    return [
        Part("funnel", box(-0.6, top - 0.5, -0.25, top), _paint(rng)),
        Part("cabin", np.array([(-0.9, 0.3), (-0.9, top), (0.6, top), (0.85, 0.3)]), WHITE),
        *(Part("porthole", disc(np.array([x, 0.5 * top]), 0.13), (70, 90, 110)) for x in
          (-0.55, -0.1, 0.35)),
    ]  # fmt: skip


def bus(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a bus: a tall box with a row of windows."""
    tone, top = _paint(rng), -rng.uniform(1.2, 1.6)
    hull = blob(((-2.1, top + 0.05), (-1.0, top), (1.0, top), (2.1, top + 0.05), (2.2, -0.3),
                 (2.15, 0.7), (0.0, 0.72), (-2.15, 0.7), (-2.18, -0.3)))  # fmt: skip
    return [
        Part("hull", hull, tone),
        Part("skirt", box(-2.3, 0.32, 2.3, 0.44), mix(tone, WHITE, 0.7), "hull"),
        *(
            Part("window", box(x, top + 0.28, x + 0.56, -0.12), GLASS)
            for x in np.arange(-1.95, 1.0, 0.68)
        ),
        Part("door", box(1.48, top + 0.28, 2.0, 0.6), darker(GLASS, 0.25)),
        *_wheels((-1.25, 1.05), 0.68, 0.34),
    ]


def car(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a car: low, with a cabin between bonnet and boot."""
    tone, top, back = _paint(rng), -rng.uniform(0.72, 0.95), rng.uniform(-1.7, -1.0)
    hull = np.array([(-2.05, 0.6), (-2.05, 0.0), (back - 0.25, -0.16), (back + 0.25, top),
                     (0.55, top), (1.15, -0.14), (1.95, 0.04), (2.1, 0.6)])  # fmt: skip
    rear = np.array([(back, -0.14), (back + 0.36, top + 0.13), (-0.3, top + 0.13), (-0.3, -0.14)])
    fore = np.array([(-0.18, -0.14), (-0.18, top + 0.13), (0.48, top + 0.13), (0.95, -0.14)])
    return [
        Part("hull", hull, tone),
        Part("sill", box(-2.2, 0.42, 2.2, 0.7), darker(tone, 0.35), "hull"),
        Part("window", rear, GLASS),
        Part("window", fore, GLASS),
        Part("lamp", oval(np.array([1.92, 0.18]), 0.14, 0.09, 0.0), (250, 236, 170)),
        Part("lamp", oval(np.array([-1.97, 0.15]), 0.09, 0.1, 0.0), (200, 40, 36)),
        *_wheels((-1.2, 1.25), 0.58, 0.38),
    ]


def motorbike(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw a motorbike: thick wheels, tank, engine."""
    tone = _paint(rng)
    back, front = np.array([-1.05, 0.0]), np.array([1.15, 0.0])
    exhaust = np.array([(0.2, 0.16), (-0.6, 0.24), (-1.5, 0.1)])
    guard = front + 0.68 * np.array([direction(angle) for angle in (20.0, 60.0, 100.0, 140.0)])
    tank = blob(((-0.25, -0.6), (0.1, -0.88), (0.6, -0.8), (0.62, -0.5), (0.0, -0.36)))
    seat = blob(((-1.3, -0.78), (-0.7, -0.68), (-0.15, -0.72), (-0.2, -0.5), (-1.1, -0.56)))
    return [
        *(Part("tyre", ring(hub, 0.52, 0.12), RUBBER) for hub in (back, front)),
        *(Part("hub", disc(hub, 0.2), STEEL) for hub in (back, front)),
        Part("fork", line(front, np.array([0.62, -1.0]), 0.07), STEEL),
        Part("swing", line(back, np.array([-0.1, -0.1]), 0.08), (70, 70, 76)),
        Part("engine", blob(((-0.4, -0.45), (0.45, -0.45), (0.5, 0.15), (-0.35, 0.2))),
             (88, 90, 96)),
        Part("exhaust", ribbon(exhaust, (0.06, 0.07, 0.1)), STEEL),
        Part("seat", seat, (44, 38, 38)),
        Part("tank", tank, tone),
        Part("guard", ribbon(guard, (0.05, 0.07, 0.07, 0.05)), darker(tone, 0.1)),
        Part("bar", line(np.array([0.66, -0.98]), np.array([0.3, -1.14]), 0.05), (40, 40, 44)),
        Part("lamp", disc(np.array([0.84, -0.82]), 0.15), (250, 240, 200)),
    ]  # fmt: skip


def train(rng: np.random.Generator, _: float) -> list[Part]:
    """Draw the front of a train on its rail, its nose to the right."""
    tone, stripe = _paint(rng), _paint(rng)
    nose = rng.uniform(0.5, 1.1)
    arm = np.array([(-1.6, -1.0), (-1.1, -1.25), (-1.5, -1.5)])
    hull = np.array(
        [(-3.2, -1.0), (2.5 - nose, -1.0), (2.35, -0.25), (2.55, 0.3), (2.4, 0.5), (-3.2, 0.5)]
    )
    front = np.array(
        [(2.6 - nose, -0.88), (2.26, -0.28), (1.75 - 0.4 * nose, -0.28), (2.0 - nose, -0.88)]
    )
    return [
        Part("rail", box(-3.3, 0.78, 2.8, 0.88), (96, 92, 92)),
        *(Part("wheel", disc(np.array([x, 0.58]), 0.22), (48, 48, 54)) for x in
          (-2.7, -2.1, -0.9, -0.3, 1.1, 1.7)),
        Part("hull", hull, tone),
        Part("stripe", box(-3.3, 0.02, 2.7, 0.22), stripe, "hull"),
        *(Part("window", box(x, -0.72, x + 0.44, -0.24), GLASS) for x in
          np.arange(-3.0, 0.75, 0.62)),
        Part("front", front, darker(GLASS, 0.35), "hull"),
        Part("pantograph", ribbon(arm, (0.04, 0.04, 0.04)), (60, 60, 66)),
    ]  # fmt: skip


def _wheels(at: tuple[float, ...], height: float, radius: float) -> list[Part]:
    parts = []
    for x in at:
        hub = np.array([x, height])
        parts.append(Part("tyre", disc(hub, radius), RUBBER))
        parts.append(Part("hub", disc(hub, 0.5 * radius), STEEL))
    return parts


def _paint(rng: np.random.Generator) -> Colour:
    return PAINTS[rng.integers(len(PAINTS))]
