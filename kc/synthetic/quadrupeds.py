"""Drawn four-legged animals: the outlines of their parts, as polygons, in the order of painting.

An animal stands and looks to the right. Build, coat, ears and marks belong to a breed or kind,
the stance to an individual.
"""

import numpy as np

from kc.synthetic.beasts import MARKS, Beast, Build, Head, Stance, head_of
from kc.synthetic.curves import blob, box, ribbon
from kc.synthetic.heads import ear_parts, face_parts
from kc.synthetic.outlines import Points, direction, disc, oval
from kc.synthetic.parts import Part
from kc.synthetic.tones import darker, mix


def quadruped_parts(beast: Beast, stance: Stance) -> list[Part]:
    """List an animal's parts, back to front."""
    head = head_of(beast.build, stance)
    parts = [
        *ear_parts(head, beast, far=True),
        *_legs(beast, stance, far=True),
        *_tail(beast, stance),
        *_trunk(head, beast),
        *_legs(beast, stance, far=False),
        *face_parts(head, beast),
        *ear_parts(head, beast, far=False),
    ]
    return [part for part in parts if part.name not in MARKS or part.name in beast.marks]


def _tail(beast: Beast, stance: Stance) -> list[Part]:
    build, coat = beast.build, beast.coat
    steps = np.linspace(0, 1, 9)
    heading = np.radians(180 - build.tail_angle - stance.tail - build.tail_curl * steps)
    stride = build.tail / 8 * np.stack([np.cos(heading), -np.sin(heading)], axis=1)
    spine = np.array([-0.88, -0.62 * build.depth]) + np.cumsum(stride, axis=0)
    halves = build.tail_width * (0.75 + 0.6 * np.sin(np.pi * steps**0.8)) * (1 - 0.45 * steps)
    return [
        Part("tail", ribbon(spine, halves.tolist()), mix(coat.base, coat.dark, 0.15)),
        Part("tail_tip", disc(spine[-1], 0.36 * build.tail + 0.05), coat.light, "tail"),
    ]


def _legs(beast: Beast, stance: Stance, *, far: bool) -> list[Part]:
    build, coat = beast.build, beast.coat
    name, swing = ("far_leg", -stance.stride) if far else ("leg", stance.stride)
    shade = darker(coat.base, 0.28) if far else coat.base
    parts: list[Part] = []
    for hind, hip, turn in ((True, -0.74, -swing), (False, 0.66, swing)):
        parts.extend(Part(name, points, shade) for points in _leg(build, hip, turn, hind))
    foot = build.depth * 0.6 + build.leg
    sock = box(-3.0, foot - 0.42 * build.leg, 3.0, foot + 1)
    return [*parts, Part("socks", sock, darker(coat.light, 0.28 if far else 0.0), name)]


def _leg(build: Build, hip: float, turn: float, hind: bool) -> list[Points]:
    """Return a leg and its paw; a hind leg has a thigh and bends at the hock."""
    width, top = build.leg_width, 0.25 * build.depth
    length = build.leg + 0.35 * build.depth
    down, fore = direction(turn - 90), direction(turn)
    bend = -0.13 * length if hind else 0.02 * length
    start = np.array([hip, top])
    knee = start + 0.55 * length * down + bend * fore
    foot = start + length * down
    spine = np.array([start, 0.5 * (start + knee) + 0.03 * fore, knee, foot])
    halves = (width * (2.4 if hind else 1.7), width * (1.7 if hind else 1.3), width, width * 0.85)
    paw = oval(
        foot + np.array([0.45 * width, -0.1 * width]), width * 1.55, width * 0.85, turn * 0.4
    )
    return [ribbon(spine, halves), paw]


def _trunk(head: Head, beast: Beast) -> list[Part]:
    build, coat = beast.build, beast.coat
    d, tuck = build.depth, build.tuck
    outline = blob(
        (
            (0.78, -0.98 * d), (0.1, -0.86 * d), (-0.62, -0.95 * d), (-1.0, -0.55 * d),
            (-1.02, 0.15 * d), (-0.62, d * (0.82 - 0.5 * tuck)), (0.0, d * (0.95 - 0.5 * tuck)),
            (0.62, 1.04 * d), (1.02, 0.35 * d), (1.04, -0.4 * d),
        )
    )  # fmt: skip
    root = np.array([0.7, -0.1 * d])
    spine = np.array([root, 0.5 * (root + head.at), head.at])
    neck = ribbon(spine, (0.8 * d, build.neck_width, 0.8 * build.head))
    parts = [Part("body", outline, coat.base), Part("body", neck, coat.base)]
    if build.fringe:
        parts.append(Part("body", _fringe(build), darker(coat.base, 0.12)))
    return [*parts, *_trunk_marks(beast)]


def _fringe(build: Build) -> Points:
    xs = np.linspace(-0.7, 0.95, 12)
    low = build.depth * (0.95 - 0.3 * build.tuck) + build.fringe * (np.arange(12) % 2)
    return np.concatenate([np.stack([xs, low], axis=1), [[0.9, 0.0], [-0.7, 0.0]]])


def _trunk_marks(beast: Beast) -> list[Part]:
    d, coat = beast.build.depth, beast.coat
    parts = [Part("saddle", oval(np.array([-0.12, -0.75 * d]), 0.82, 0.85 * d, 3.0), coat.dark,
                  "body")]  # fmt: skip
    for x, y, size in ((-0.62, -0.5, 0.34), (0.22, -0.2, 0.3), (0.86, -0.9, 0.28)):
        patch = oval(np.array([x, y * d]), size, 1.1 * size, 30.0)
        parts.append(Part("patches", patch, coat.dark, "body"))
    if "spots" in beast.marks:  # many small parts, drawn only if needed
        parts.extend(_spots(beast))
    for x in np.arange(-0.9, 1.0, 0.26):
        stripe = np.array([(x, -1.1 * d), (x + 0.1, -1.1 * d), (x + 0.02, d), (x - 0.05, d)])
        parts.append(Part("brindle", stripe, coat.dark, "body", 0.8))
    belt = np.array([(0.0, -2 * d), (0.42, -2 * d), (0.36, 2 * d), (0.02, 2 * d)])
    chest = oval(np.array([0.98, 0.1 * d]), 0.75 * d, 0.34, 75.0)
    return [
        *parts,
        Part("belt", belt, coat.light, "body"),
        Part("bib", chest, coat.light, "body"),
    ]


def _spots(beast: Beast) -> list[Part]:
    d = beast.build.depth
    return [
        Part("spots", disc(np.array([x + 0.15 * (row % 2), y * d]), 0.068), beast.coat.dark, "body",
             0.95)
        for row, y in enumerate((-0.72, -0.3, 0.12, 0.54))
        for x in np.arange(-0.9, 1.0, 0.3)
    ]  # fmt: skip
