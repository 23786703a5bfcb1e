"""Heads of the drawn four-legged animals: skull, muzzle, eye and ears."""

import numpy as np

from kc.synthetic.beasts import Beast, Head
from kc.synthetic.curves import blob, ribbon
from kc.synthetic.outlines import Points, disc, line, oval
from kc.synthetic.parts import Part
from kc.synthetic.tones import darker, mix

_PINK = (206, 150, 138)
_DOWN = np.array([0.0, 1.0])


def face_parts(head: Head, beast: Beast) -> list[Part]:
    """List the parts of a head without ears, back to front."""
    build, coat, r = beast.build, beast.coat, beast.build.head
    root = head.at - 0.28 * r * head.up
    tip = root + (0.8 * r + build.muzzle) * head.look
    deep = build.muzzle_depth
    snout = ribbon(np.array([root, 0.5 * (root + tip), tip]), (1.1 * deep, 0.95 * deep, 0.7 * deep))
    bridge = tip + 0.45 * deep * head.up
    eye = head.at + r * (0.42 * head.look + 0.22 * head.up)
    corner = root + (0.75 * r + 0.15 * build.muzzle) * head.look - 0.35 * deep * head.up
    brow = head.at + r * (0.45 * head.look + 1.1 * head.up)
    stripe = np.array([brow, head.at + r * (0.95 * head.look + 0.3 * head.up), bridge])
    return [
        Part("head", disc(head.at, r), coat.base),
        Part("head", snout, coat.base),
        Part("head", disc(tip, 0.7 * deep), coat.base),
        Part("blaze", ribbon(stripe, (0.34 * r, 0.3 * r, 0.5 * deep)), coat.light, "head"),
        Part("dark_muzzle", disc(tip, 0.5 * build.muzzle + 0.75 * deep), coat.dark, "head"),
        Part("eye_patch", disc(eye - 0.05 * r * head.up, 0.46 * r), coat.dark, "head"),
        Part("mouth", line(corner, tip - 0.3 * deep * head.up, 0.022), darker(coat.base, 0.6)),
        Part("nose", oval(bridge, 0.075 + 0.12 * deep, 0.06 + 0.1 * deep, 0.0), coat.nose),
        Part("eye", disc(eye, 0.17 * r), (26, 22, 22)),
        Part("glint", disc(eye + 0.05 * r * (head.look + head.up), 0.055 * r), (250, 248, 242)),
    ]


def ear_parts(head: Head, beast: Beast, *, far: bool) -> list[Part]:
    """List the parts of one ear; the far one is darker and further to the front."""
    coat, name = beast.coat, "far_ear" if far else "ear"
    root = head.at + (0.38 if far else 0.0) * beast.build.head * head.look
    outline, inner = _EARS[beast.ears](root, head, beast)
    shade = darker(mix(coat.base, coat.dark, 0.2), 0.25 if far else 0.1)
    parts = [Part(name, outline, shade)]
    if inner is not None and not far:
        parts.append(Part(name, inner, mix(shade, _PINK, 0.55)))
    return [*parts, Part("dark_ears", outline, darker(coat.dark, 0.25 * far), name)]


def _pricked(root: Points, head: Head, beast: Beast) -> tuple[Points, Points | None]:
    r, length = beast.build.head, beast.build.ear
    foot = root + r * (0.62 * head.up - 0.3 * head.look)
    tip = foot + length * (head.up - 0.18 * head.look) + 0.3 * r * head.up
    outer = np.array([foot - 0.42 * r * head.look, tip, foot + 0.46 * r * head.look])
    middle = outer.mean(axis=0)
    return outer, middle + 0.55 * (outer - middle)


def _dropped(root: Points, head: Head, beast: Beast) -> tuple[Points, None]:
    r, length = beast.build.head, beast.build.ear
    top = root + r * (0.62 * head.up - 0.28 * head.look)
    side = np.array([1.0, 0.0])
    corners = [
        top + length * down * _DOWN + (0.3 * r + 0.22 * length) * across * side
        for down, across in (
            (-0.04, -0.3), (-0.06, 0.35), (0.35, 0.62), (0.8, 0.5), (1.0, -0.1), (0.85, -0.75),
            (0.4, -0.8),
        )
    ]  # fmt: skip
    return blob([(float(x), float(y)) for x, y in corners]), None


def _folded(root: Points, head: Head, beast: Beast) -> tuple[Points, None]:
    r, length = beast.build.head, beast.build.ear
    foot = root + r * (0.66 * head.up - 0.3 * head.look)
    corners = (
        foot - 0.45 * r * head.look,
        foot + 0.62 * length * head.up - 0.2 * r * head.look,
        foot + 0.5 * length * head.up + 0.3 * length * head.look,
        foot - 0.1 * length * head.up + 0.75 * length * head.look,
        foot + 0.3 * r * head.look - 0.1 * r * head.up,
    )
    return np.array(corners), None


_EARS = {"pricked": _pricked, "dropped": _dropped, "folded": _folded}
