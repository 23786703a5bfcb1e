import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from kc.synthetic.bird_painting import paint
from kc.synthetic.birds import Posture, bird_parts
from kc.synthetic.species import MARKS, SPECIES_PER_GENUS, species


def test_species_of_a_genus_share_palette_and_differ_in_marks() -> None:
    for genus in range(8):
        members = [species(genus * SPECIES_PER_GENUS + k, seed=3) for k in range(SPECIES_PER_GENUS)]
        assert len({member.palette for member in members}) == 1
        assert len({member.marks for member in members}) == SPECIES_PER_GENUS
        assert len(frozenset.intersection(*(member.marks for member in members))) == 2
        assert len({member.name for member in members}) == SPECIES_PER_GENUS
        lengths = np.array([member.shape for member in members])
        assert 0 < lengths.std(axis=0)[0] < 0.25 * lengths.mean(axis=0)[0]


def test_palettes_are_shared_by_genera() -> None:
    palettes = [species(number, 0).palette for number in range(0, 200, SPECIES_PER_GENUS)]
    assert len(set(palettes)) < len(palettes) / 4


def test_every_mark_can_be_seen() -> None:
    plain = species(0, 0)._replace(marks=frozenset())
    without = paint(plain, np.random.default_rng(1), 96, 0.0)
    for mark in MARKS:
        marked = plain._replace(marks=frozenset({mark}))
        names = {part.name for part in bird_parts(marked, Posture())}
        assert names & set(MARKS) == {mark}
        painting = paint(marked, np.random.default_rng(1), 96, 0.0)
        np.testing.assert_array_equal(painting.foreground, without.foreground)
        change = np.abs(painting.image.astype(int) - without.image.astype(int)).max(axis=2)
        assert (change > 40).sum() >= 8, mark
        beyond = ~binary_dilation(painting.foreground, np.ones((3, 3)))
        assert not (change[beyond] > 0).any(), mark


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_bird_lies_inside_the_canvas(difficulty: float) -> None:
    for number in range(6):
        painting = paint(species(number, 0), np.random.default_rng(number), 48, difficulty)
        assert painting.image.shape == (48, 48, 3)
        edge = np.ones((48, 48), dtype=bool)
        edge[1:-1, 1:-1] = False
        assert not painting.foreground[edge].any()
        assert 0.03 < painting.foreground.mean() < 0.7


def test_difficulty_sets_how_much_pictures_vary() -> None:
    def spread(difficulty: float) -> float:
        masks = [
            paint(species(0, 0), np.random.default_rng(k), 48, difficulty).foreground
            for k in range(12)
        ]
        # mirroring gives two shapes at difficulty 0; more shapes come from difficulty
        return float(np.unique(np.array(masks).reshape(12, -1), axis=0).shape[0])

    assert spread(0.0) == 2
    assert spread(0.5) == 12
