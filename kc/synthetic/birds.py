"""Drawn birds: the outlines of their parts, as polygons, in the order of painting.

A bird is perched and looks to the right, x right and y down, in units of half its body's length;
the origin is the body's centre. The posture (head, tail, wing) is set here, turn, mirror and size
in the painting.
"""

from typing import NamedTuple

import numpy as np

from kc.synthetic.outlines import Frame, Points, direction, disc, line, oval, rotate
from kc.synthetic.parts import Colour, Part
from kc.synthetic.species import MARKS, Palette, Proportions, Species
from kc.synthetic.tones import mix

_LIGHT: Colour = (244, 240, 230)


class Posture(NamedTuple):
    """Posture of one individual; angles in degrees relative to the usual posture."""

    head: float = 0.0
    tail: float = 0.0
    wing: float = 0.0


def bird_parts(species: Species, posture: Posture) -> list[Part]:
    """List a bird's parts, back to front."""
    shape, palette, marks = species.shape, species.palette, species.marks
    angle = np.radians(shape.upright)
    along = np.array([np.cos(angle), -np.sin(angle)])
    body = Frame(np.zeros(2), along, np.array([along[1], -along[0]]) * shape.body_height)
    head = body.at(0.88, 0.62) + np.array([0.05, -0.12])
    look = direction(posture.head)
    parts = [
        *_tail(body, species, posture),
        *_legs(body, shape, palette),
        *_body(body, head, shape, palette),
        *_underside(body, head, look, species),
        *_head(head, look, species),
        *_wing(body, species, posture),
    ]
    return [part for part in parts if part.name not in MARKS or part.name in marks]


def feet(parts: list[Part]) -> Points:
    """Return the point on which the bird stands, (2,)."""
    toes = np.concatenate([part.points for part in parts if part.name == "foot"])
    return np.asarray([toes[:, 0].mean(), toes[:, 1].max()])


def _tail(body: Frame, species: Species, posture: Posture) -> list[Part]:
    shape, palette = species.shape, species.palette
    back = rotate(-body.along, posture.tail)
    side = np.array([back[1], -back[0]])
    tail = Frame(body.at(-0.78, 0.12), back * shape.tail_length, side * shape.tail_width)
    fork = 1 - shape.tail_fork
    outline = tail.trace(((0.0, -0.9), (1.0, -1.15), (fork, 0.0), (1.0, 1.15), (0.0, 0.9)))
    band = tail.trace(((0.68, -2.0), (0.86, -2.0), (0.86, 2.0), (0.68, 2.0)))
    return [
        Part("tail", outline, mix(palette.wing, palette.dark, 0.25)),
        Part("tail_band", band, _LIGHT, "tail"),
    ]


def _legs(body: Frame, shape: Proportions, palette: Palette) -> list[Part]:
    parts = []
    for x, shade in ((0.16, 0.35), (-0.06, 0.0)):
        hip = body.at(x, -0.55)
        ankle = np.array([hip[0] + 0.04, hip[1] + 0.5 * shape.body_height + shape.leg_length])
        colour = mix(palette.bill, palette.dark, shade)
        parts.append(Part("leg", line(hip, ankle, 0.045), colour))
        toes = (ankle + np.array([toe, 0.05]) for toe in (0.2, -0.12))
        parts.extend(Part("foot", line(ankle, toe, 0.04), colour) for toe in toes)
    return parts


def _body(body: Frame, head: Points, shape: Proportions, palette: Palette) -> list[Part]:
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    along, across = np.cos(turn), np.sin(turn)
    taper = np.where(along < 0, 1 + 0.45 * along**3, 1.0)
    breast = np.where((along > -0.2) & (across < 0), 1.08, 1.0)
    egg = body.trace(zip(along.tolist(), (across * taper * breast).tolist(), strict=True))
    chest = body.at(0.36, 0.1)
    axis = (head - chest) / np.linalg.norm(head - chest)
    side = np.array([axis[1], -axis[0]])
    wide, narrow = shape.body_height * 0.86, shape.head * 0.94
    neck = [chest + side * wide, head + side * narrow, head - side * narrow, chest - side * wide]
    return [
        Part("body", egg, palette.back),
        Part("body", np.array(neck), palette.back),
        Part("body", disc(head, shape.head), palette.back),
    ]


def _underside(body: Frame, head: Points, look: Points, species: Species) -> list[Part]:
    palette = species.palette
    tilt = float(np.degrees(np.arctan2(-body.along[1], body.along[0])))
    belly = oval(body.at(0.18, -0.62), 1.0, 0.72 * species.shape.body_height, tilt)
    parts = [Part("belly", belly, palette.belly, "body")]
    for s in np.arange(-0.6, 0.9, 0.24):
        bar = line(body.at(s, 0.2), body.at(s + 0.1, -1.3), 0.075)
        parts.append(Part("belly_stripes", bar, palette.dark, "belly", 0.85))
    for row, v in enumerate((-0.2, -0.5, -0.8)):
        for s in np.arange(-0.5, 0.95, 0.27):
            spot = disc(body.at(s + 0.13 * (row % 2), v), 0.062)
            parts.append(Part("belly_spots", spot, palette.dark, "belly", 0.9))
    breast = oval(body.at(0.72, -0.28), 0.34, 0.5, tilt)
    throat = head - rotate(look, 62.0) * species.shape.head * -0.82
    bib = oval(throat, species.shape.head * 0.62, species.shape.head * 0.5, 40.0)
    return [
        *parts,
        Part("breast", breast, palette.accent, "body"),
        Part("bib", bib, palette.dark, "body"),
    ]


def _head(head: Points, look: Points, species: Species) -> list[Part]:
    shape, palette = species.shape, species.palette
    radius, up = shape.head, np.array([look[1], -look[0]])
    eye = head + look * radius * 0.36 + up * radius * 0.18
    arc = np.radians(np.linspace(8, 188, 20))
    crown = head + radius * 1.05 * (np.cos(arc)[:, None] * look + np.sin(arc)[:, None] * up)
    crown = np.concatenate([crown, [head + up * radius * 0.34 + look * radius * 0.2]])
    stripe = line(head + look * radius * 1.1 + up * 0.02, head - look * radius * 0.95, 0.085)
    beak = _beak(head, look, up, shape)
    return [
        Part("cap", crown, palette.accent, "body"),
        Part("eye_stripe", stripe + up * radius * 0.1, palette.dark, "body"),
        *(
            Part("beak", points, colour)
            for points, colour in zip(
                beak, (palette.bill, mix(palette.bill, palette.dark, 0.45)), strict=True
            )
        ),
        Part("eye_ring", disc(eye, radius * 0.34), _LIGHT, "body"),
        Part("eye", disc(eye, radius * 0.2), (18, 16, 18)),
        Part("glint", disc(eye + up * radius * 0.07 + look * radius * 0.06, radius * 0.07), _LIGHT),
    ]


def _beak(head: Points, look: Points, up: Points, shape: Proportions) -> tuple[Points, Points]:
    """Return the upper and the lower half of the beak."""
    base = head + look * shape.head * 0.86 + up * shape.head * 0.02
    reach = look * (shape.beak_length + shape.head * 0.14)
    depth = up * shape.beak_depth
    tip = base + reach - up * shape.beak_hook
    upper = np.array([base + depth, base + reach * 0.55 + depth * 0.72, tip, base])
    lower = np.array([base, base + reach * 0.84 - up * shape.beak_hook * 0.3, base - depth * 0.75])
    return upper, lower


def _wing(body: Frame, species: Species, posture: Posture) -> list[Part]:
    shape, palette = species.shape, species.palette
    back = rotate(-body.along, posture.wing - 6)
    side = np.array([back[1], -back[0]]) * 0.52 * shape.body_height
    wing = Frame(body.at(0.5, 0.28), back * shape.wing_length * 1.12, side)
    t = np.linspace(0, 1, 16)
    half = np.sin(np.pi * t**0.62) ** 0.8
    there = zip(t.tolist(), half.tolist(), strict=True)
    back_again = zip(t[::-1].tolist(), (-0.78 * half[::-1]).tolist(), strict=True)
    parts = [Part("wing", wing.trace((*there, *back_again)), palette.wing)]
    for s in (0.3, 0.5):
        bar = ((s, -2.0), (s + 0.08, -2.0), (s + 0.14, 2.0), (s + 0.06, 2.0))
        parts.append(Part("wing_bar", wing.trace(bar), _LIGHT, "wing"))
    tip = wing.trace(((0.58, -2.0), (1.1, -2.0), (1.1, 2.0), (0.66, 2.0)))
    patch = oval(wing.at(0.3, 0.05), 0.24, 0.17, 0.0)
    edge = wing.trace(((0.35, -0.3), (0.95, 0.0), (0.93, 0.09), (0.4, -0.15)))
    return [
        *parts,
        Part("dark_wing_tip", tip, palette.dark, "wing"),
        Part("wing_patch", patch, palette.accent, "wing"),
        Part("feathers", edge, palette.dark, "wing", 0.35),
    ]
