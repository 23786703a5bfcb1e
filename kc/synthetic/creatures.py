"""Animals and persons of the drawn scenes, standing and looking to the right.

Each function draws the shape and stance of one individual from a generator; ``difficulty``
increases the variation. The scene sets the shade of its colours.
"""

import numpy as np

from kc.synthetic.beasts import Beast, Build, Coat, Head, head_of
from kc.synthetic.birds import Posture, bird_parts
from kc.synthetic.breeds import COATS, breed
from kc.synthetic.curves import blob, ribbon, shifted
from kc.synthetic.dog_painting import dog_parts, stance
from kc.synthetic.outlines import Points, direction, disc, oval
from kc.synthetic.parts import Part, vary
from kc.synthetic.quadrupeds import quadruped_parts
from kc.synthetic.species import species
from kc.synthetic.tones import darker

CAT = Build(0.36, 0.25, 0.46, 0.095, 0.26, 58, 0.24, 0.38, 0.02, 0.14, 0.42, 1.35, 0.07, 50, 60, 0)
COW = Build(0.56, 0.10, 0.62, 0.12, 0.34, 30, 0.34, 0.32, 0.36, 0.26, 0.30, 0.95, 0.04, -75, 10, 0)
HORSE = Build(0.45, 0.25, 1.02, 0.09, 0.78, 56, 0.24, 0.27, 0.50, 0.17, 0.35, 1.10, 0.13, -45, -40,
              0)  # fmt: skip
SHEEP = Build(
    0.52, 0.05, 0.48, 0.075, 0.24, 38, 0.32, 0.28, 0.22, 0.16, 0.40, 0.30, 0.07, -60, 0, 0
)

CAT_COATS = (
    Coat((212, 138, 70), (150, 82, 36), (244, 230, 208), (196, 120, 112)),
    Coat((142, 142, 146), (76, 76, 82), (236, 236, 234), (150, 100, 100)),
    Coat((66, 62, 66), (34, 32, 36), (238, 236, 232), (90, 70, 70)),
    *COATS,
)
COW_COATS = (
    Coat((240, 238, 232), (40, 36, 38), (250, 248, 246), (206, 150, 142)),
    Coat((244, 236, 220), (132, 70, 42), (250, 248, 246), (206, 150, 142)),
    Coat((166, 110, 66), (96, 60, 38), (244, 236, 222), (120, 84, 76)),
    *COATS,
)
HORSE_COATS = (
    Coat((138, 84, 50), (34, 26, 24), (242, 236, 226)),
    Coat((76, 54, 44), (26, 20, 20), (242, 236, 226)),
    Coat((206, 202, 198), (120, 118, 120), (250, 248, 246)),
    Coat((206, 154, 88), (238, 224, 190), (246, 240, 228)),
    *COATS,
)
SHEEP_COATS = (
    Coat((58, 52, 52), (40, 36, 38), (240, 236, 224)),
    Coat((224, 212, 194), (150, 130, 110), (244, 240, 228)),
)
SKINS = ((240, 204, 176), (206, 156, 118), (150, 104, 74), (96, 66, 50))
CLOTHES = (
    (190, 52, 48), (46, 88, 156), (58, 126, 78), (222, 176, 60), (104, 66, 128), (226, 222, 214),
    (52, 54, 62), (216, 124, 60),
)  # fmt: skip


def bird(rng: np.random.Generator, difficulty: float) -> list[Part]:
    """Draw a bird of any species."""
    posture = Posture(*(rng.normal(0, 1, 3) * np.array([20, 18, 14]) * difficulty).tolist())
    return bird_parts(species(int(rng.integers(200)), 0), posture)


def dog(rng: np.random.Generator, difficulty: float) -> list[Part]:
    """Draw a dog of any breed."""
    return dog_parts(breed(int(rng.integers(200)), 0), rng, difficulty)


def cat(rng: np.random.Generator, difficulty: float) -> list[Part]:
    """Draw a cat, often striped, with whiskers."""
    marks = [("brindle", "tail_tip"), ("bib", "socks"), ("brindle", "bib"), ()][rng.integers(4)]
    parts, head, _ = _beast(CAT, CAT_COATS, "pricked", marks, rng, difficulty)
    r = CAT.head
    nose = head.at + head.look * 0.75 * r - head.up * 0.3 * r
    for tilt in (-0.35, 0.0, 0.3):
        tip = nose + (head.look * 0.35 - head.up * tilt) * r * 1.4
        parts.append(Part("whisker", _thin(nose, tip, 0.018), (246, 244, 240)))
    return parts


def cow(rng: np.random.Generator, difficulty: float) -> list[Part]:
    """Draw a cow: horns, udder, tail with a tuft, mostly patched."""
    marks = ("patches", "blaze") if rng.random() < 0.75 else ("dark_ears",)
    parts, head, _ = _beast(COW, COW_COATS, "dropped", marks, rng, difficulty)
    root = head.at + head.up * 0.8 * COW.head
    steps = np.array([[0.0, 0.0], [0.1, 0.8], [0.55, 1.2]]) * COW.head
    spine = root + steps[:, :1] * head.look + steps[:, 1:] * head.up
    udder = oval(np.array([-0.42, COW.depth * 0.98]), 0.26, 0.16, 0.0)
    tail = next(part for part in parts if part.name == "tail").points
    tuft = disc(tail[len(tail) // 2], 0.12)
    return [
        Part("udder", udder, (226, 168, 160)),
        *parts,
        Part("tuft", tuft, (60, 48, 44)),
        Part("horn", ribbon(spine, (0.075, 0.06, 0.02)), (222, 210, 184)),
    ]


def horse(rng: np.random.Generator, difficulty: float) -> list[Part]:
    """Draw a horse: mane and tail of one colour."""
    marks = ("blaze", "socks") if rng.random() < 0.5 else ("dark_muzzle",)
    parts, head, coat = _beast(HORSE, HORSE_COATS, "pricked", marks, rng, difficulty)
    top, withers = head.at + head.up * 0.27, np.array([0.62, -0.85 * HORSE.depth])
    spine = np.linspace(0, 1, 4)[:, None] * (withers - top) + top
    mane = ribbon(spine - 0.06 * head.look, (0.08, 0.14, 0.15, 0.04))
    forelock = oval(top + 0.08 * head.look - 0.06 * head.up, 0.14, 0.07, -50.0)
    parts = [part._replace(colour=coat.dark) if part.name == "tail" else part for part in parts]
    return [*parts, Part("mane", mane, coat.dark), Part("forelock", forelock, coat.dark)]


def sheep(rng: np.random.Generator, difficulty: float) -> list[Part]:
    """Draw a sheep: a fleece of curls, dark or pale face and legs."""
    parts, head, coat = _beast(SHEEP, SHEEP_COATS, "dropped", (), rng, difficulty)
    turn = np.linspace(0, 2 * np.pi, 15, endpoint=False)
    curls = [np.array([1.0 * np.cos(t), SHEEP.depth * np.sin(t) - 0.05]) for t in turn]
    face = [part for part in parts if part.name in FACE]
    rest = [part for part in parts if part.name not in FACE]
    cap = head.at + (head.up * 0.75 - head.look * 0.25) * SHEEP.head
    return [
        *rest,
        *(
            Part("fleece", disc(at, 0.24), darker(coat.light, 0.12 if at[1] > 0.1 else 0.0))
            for at in curls
        ),
        Part("fleece", oval(np.array([0.0, -0.05]), 1.02, SHEEP.depth, 0.0), coat.light),
        *(Part("curl", disc(0.6 * at, 0.1), darker(coat.light, 0.07)) for at in curls[::2]),
        *face,
        Part("fleece", disc(cap, 0.2), coat.light),
    ]


FACE = frozenset({"head", "mouth", "nose", "eye", "glint", "ear", "far_ear"})


def person(rng: np.random.Generator, difficulty: float) -> list[Part]:
    """Draw a standing or walking person, seen half from the front."""
    skin = SKINS[rng.integers(len(SKINS))]
    shirt, trousers = (CLOTHES[k] for k in rng.choice(len(CLOTHES), 2, replace=False))
    hair = ((52, 38, 30), (122, 84, 48), (28, 26, 28), (206, 170, 104))[rng.integers(4)]
    step, *arms = (rng.normal(0, 1, 3) * np.array([16, 45, 45]) * (0.3 + difficulty)).tolist()
    hips, neck = np.array([0.0, 0.1]), np.array([0.0, -1.12])
    trunk = blob(
        ((-0.34, -1.1), (0.34, -1.1), (0.38, -0.7), (0.27, 0.2), (-0.27, 0.2), (-0.38, -0.7))
    )
    parts = []
    for side, turn in ((-1, step), (1, -step)):
        hip = hips + np.array([0.13 * side, 0.0])
        foot = hip + 1.45 * direction(turn - 90)
        parts.append(Part("leg", _thin(hip, foot, 0.14), darker(trousers, 0.1 * (side < 0))))
        parts.append(Part("shoe", oval(shifted(foot, 0.08, 0.02), 0.22, 0.1, 0.0), (40, 36, 36)))
    parts.append(Part("trunk", trunk, shirt))
    for side, turn in zip((-1, 1), arms, strict=True):
        shoulder = np.array([0.34 * side, -0.98])
        hand = shoulder + 1.0 * direction(min(max(turn, -80.0), 80.0) + side * 12 - 90)
        parts.append(Part("arm", _thin(shoulder, hand, 0.1), darker(shirt, 0.16)))
        parts.append(Part("hand", disc(hand, 0.12), skin))
    face = neck + np.array([0.02, -0.36])
    return [
        *parts,
        Part("neck", _thin(shifted(neck, 0.0, 0.08), face, 0.11), darker(skin, 0.12)),
        Part("hair", disc(shifted(face, -0.03, -0.08), 0.35), hair),
        Part("face", oval(shifted(face, 0.03, 0.03), 0.31, 0.26, 90.0), skin),
        *(Part("eye", disc(shifted(face, x, 0.0), 0.045), (30, 26, 28)) for x in (-0.06, 0.16)),
        Part(
            "mouth", _thin(shifted(face, 0.0, 0.17), shifted(face, 0.12, 0.17), 0.02), (150, 70, 66)
        ),
    ]


def _beast(
    build: Build,
    coats: tuple[Coat, ...],
    ears: str,
    marks: tuple[str, ...],
    rng: np.random.Generator,
    difficulty: float,
) -> tuple[list[Part], Head, Coat]:
    """Draw an animal; return its parts, head and coat."""
    coat = coats[rng.integers(len(coats))]
    own = Build(*vary(build, 0.1 * difficulty, rng))
    held = stance(rng, 0.6 * difficulty)
    parts = quadruped_parts(Beast(own, coat, ears, frozenset(marks)), held)
    return parts, head_of(own, held), coat


def _thin(start: Points, end: Points, half: float) -> Points:
    return ribbon(np.array([start, 0.5 * (start + end), end]), (half, half, half))
