"""Concept counts against hand-made maps and the slow plain version, cell by cell."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from kc.concepts import (
    count_concepts,
    effective,
    kept_share,
    over_images,
    richest_checkpoint,
    summarise,
)
from kc.errors import SettingsError
from tests.reference import plain_concepts as plain

GRID = 6


def _maps(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    H = torch.randn(count, GRID, GRID, generator=generator, dtype=torch.float64) * 0.4 - 2.8
    return H, torch.rand(count, GRID, GRID, generator=generator) < 0.4


def _built() -> tuple[Tensor, Tensor]:
    """Return one image: background mean -2.8, two foreground concepts, one background concept."""
    H = torch.full((1, GRID, GRID), -2.8, dtype=torch.float64)
    foreground = torch.zeros(1, GRID, GRID, dtype=torch.bool)
    foreground[0, 2:4, 2:4] = True
    H[0, 2, 2:4] = -3.2
    H[0, 0, 0], H[0, 0, 1] = -3.3, -2.3
    return H, foreground


def test_constructed_concepts_are_found() -> None:
    H, foreground = _built()
    found = count_concepts(H, foreground, 0.25)
    assert found.n_fg.tolist() == [2]
    assert found.n_bg.tolist() == [1]
    assert found.ratio.item() == pytest.approx(2 / 3, abs=1e-12)
    assert found.usable.all()
    assert found.foreground[0].nonzero().tolist() == [[2, 2], [2, 3]]


def test_no_cell_is_a_concept_just_because_the_map_is_lower() -> None:
    H, foreground = _built()
    lower = count_concepts(H - 1, foreground, 0.25)
    assert lower.n_fg.tolist() == [2]
    flat = count_concepts(torch.full_like(H, -9.0), foreground, 0.25)
    assert flat.n_fg.tolist() == flat.n_bg.tolist() == [0]
    assert flat.ratio.tolist() == [0]
    assert flat.usable.all()


def test_threshold_itself_is_not_passed() -> None:
    H, foreground = torch.full((1, GRID, GRID), -2.75), _built()[1]
    H[0, 2, 2] = -3.0  # exact in binary
    assert count_concepts(H, foreground, 0.25).n_fg.tolist() == [0]
    assert count_concepts(H, foreground, 0.249).n_fg.tolist() == [1]


@pytest.mark.parametrize("level", ["image", "released"])
@pytest.mark.parametrize("threshold", [0.2, 0.25])
def test_counts_equal_the_plain_version(level: str, threshold: float) -> None:
    H, foreground = _maps(7)
    foreground[1], foreground[2] = False, True  # no foreground, no background
    H[3] = -2.8
    found = count_concepts(H, foreground, threshold, level)
    fg, bg, ratio = plain.counts(H.numpy(), foreground.numpy(), threshold, level)
    assert found.n_fg.tolist() == fg
    assert found.n_bg.tolist() == bg
    np.testing.assert_allclose(found.ratio, ratio, rtol=0, atol=1e-15)
    assert found.n_fg.tolist() == found.foreground.sum((1, 2)).tolist()
    assert sum(fg) > 10
    assert fg[1] == 0
    assert found.usable.tolist() == [True, True, level == "released", *[True] * 4]


def test_levels_differ_where_images_do() -> None:
    H, foreground = _maps(6)
    H[0] += 1.0  # by its own level the same concepts; by the common level none
    own = count_concepts(H, foreground, 0.2, "image")
    common = count_concepts(H, foreground, 0.2, "released")
    assert own.n_fg[0] > 1
    assert common.n_fg[0] < own.n_fg[0]
    assert (common.n_fg[1:] >= own.n_fg[1:]).any()


def test_skipped_images_have_no_concepts_and_are_not_usable() -> None:
    H, foreground = _maps(5)
    H[2] = torch.nan
    for level in ("image", "released"):
        found = count_concepts(H, foreground, 0.2, level)
        assert found.usable.tolist() == [True, True, False, True, True]
        assert found.n_fg[2] == found.n_bg[2] == 0
        rest = torch.tensor([0, 1, 3, 4])
        alone = count_concepts(H[rest], foreground[rest], 0.2, level)
        assert torch.equal(found.n_fg[rest], alone.n_fg)
        assert summarise(found) == summarise(alone)
    everything = count_concepts(H * torch.nan, foreground, 0.2)
    assert not everything.usable.any()
    assert summarise(everything).n_fg.n_images == 0


def test_summary_is_the_mean_of_ratios_not_the_ratio_of_means() -> None:
    H, foreground = _maps(9)
    H[4] = -2.8  # no concept: counts as 0 in lambda
    found = count_concepts(H, foreground, 0.2)
    fg, bg, ratio = plain.counts(H.numpy(), foreground.numpy(), 0.2, "image")
    summary = summarise(found)
    assert summary.n_fg.value == pytest.approx(np.mean(fg))
    assert summary.n_bg.value == pytest.approx(np.mean(bg))
    assert summary.lambda_ratio.value == pytest.approx(np.mean(ratio))
    assert summary.lambda_ratio.value != pytest.approx(np.sum(fg) / (np.sum(fg) + np.sum(bg)))
    assert summary.lambda_ratio.low < np.mean(ratio) < summary.lambda_ratio.high
    assert summary.n_fg.n_images == 9


def test_the_constructed_richest_checkpoint_is_found() -> None:
    epochs = [0, 2, 5, 10]
    # image 0: most at epoch 0, which is ignored; 1: a tie; 2: none; 3: the last
    n_fg = torch.tensor([[9, 0, 0, 0], [1, 3, 0, 1], [4, 5, 0, 2], [2, 5, 0, 3]])
    assert richest_checkpoint(n_fg, epochs).tolist() == [2, 2, 1, 3]
    # without an epoch 0 the first row counts
    assert richest_checkpoint(n_fg, [1, 2, 5, 10]).tolist() == [0, 2, 0, 3]


def test_richest_checkpoint_equals_the_plain_version() -> None:
    generator = torch.Generator().manual_seed(0)
    n_fg = torch.randint(0, 4, (8, 200), generator=generator)  # few values: many ties
    epochs = [0, 2, 5, 10, 15, 20, 25, 30]
    assert richest_checkpoint(n_fg, epochs).tolist() == plain.richest(n_fg.tolist(), epochs)


@pytest.mark.parametrize("epochs", [[0], [5, 2, 10], []])
def test_checkpoints_out_of_order_are_refused(epochs: list[int]) -> None:
    counts = torch.zeros(len(epochs), 3, dtype=torch.int64)
    with pytest.raises(SettingsError, match=r"concepts.checkpoints: expected rising epochs"):
        richest_checkpoint(counts, epochs)
    sets = torch.zeros(len(epochs), 3, GRID, GRID, dtype=torch.bool)
    with pytest.raises(SettingsError, match=r"concepts.checkpoints: expected rising epochs"):
        kept_share(sets, epochs)


def _sets(concepts: Tensor) -> list[list[set[tuple[int, int]]]]:
    """Return S_j(I) as sets of cells, without epoch 0."""
    return [
        [{(int(y), int(x)) for y, x in image.nonzero()} for image in checkpoint]
        for checkpoint in concepts[1:]
    ]


def test_nothing_dropped_keeps_all() -> None:
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(4, GRID, GRID, generator=generator)
    grown = torch.stack([order < at for at in (0.9, 0.1, 0.3, 0.5)])  # epoch 0 held more
    assert kept_share(grown, [0, 1, 2, 3]).tolist() == [1, 1, 1, 1]
    assert (kept_share(grown, [1, 2, 3, 4]) < 1).all()


def test_detour_lowers_the_kept_share() -> None:
    concepts = torch.zeros(4, 2, GRID, GRID, dtype=torch.bool)
    concepts[1, :, 0, :3] = True  # three learned,
    concepts[2, :, 1, :2] = True  # two others while the three are dropped,
    concepts[3, 0, 0, 1] = True  # one of them back at the end; the second image ends with none
    rho = kept_share(concepts, [0, 2, 5, 10])
    np.testing.assert_allclose(rho, [1 / 5, 0], atol=1e-15)


def test_kept_share_equals_the_plain_version_and_leaves_out_empty_unions() -> None:
    generator = torch.Generator().manual_seed(1)
    concepts = torch.rand(5, 6, GRID, GRID, generator=generator) < 0.1
    concepts[1:, 2] = False  # only at epoch 0: nothing was learned
    rho = kept_share(concepts, [0, 2, 5, 10, 15])
    expected = plain.kept(_sets(concepts))
    np.testing.assert_allclose(rho, expected, atol=1e-15)
    assert rho.isnan().tolist() == [False, False, True, False, False, False]
    mean = over_images(rho)
    assert mean.n_images == 5
    assert mean.value == pytest.approx(np.nanmean(expected))


def test_selection_drops_images_that_contradict_the_claim() -> None:
    late, foreground = torch.full((2, 3, GRID, GRID), -2.75), _maps(3)[1]
    late[:, 0] -= 0.1 * foreground[0]  # the foreground has less entropy
    late[:, 1] += 0.1 * foreground[1]  # the background has
    late[1, 2] += 0.1 * foreground[2]  # the background has at one of two checkpoints
    found = effective(late, foreground)
    assert found.kept.tolist() == [True, False, False]
    assert found.dropped == pytest.approx(2 / 3)
    assert effective(late[:1], foreground).kept.tolist() == [True, False, True]


def test_selection_equals_the_plain_version() -> None:
    late = torch.stack([_maps(60, seed)[0] for seed in (1, 2)])
    foreground = _maps(60)[1]
    foreground[0], foreground[1] = False, True
    found = effective(late, foreground)
    expected = plain.selected(late.numpy(), foreground.numpy())
    assert found.kept.tolist() == expected
    assert found.dropped == pytest.approx(1 - np.mean(expected))
    assert 0.1 < found.dropped < 0.95
    late[0, np.argmax(expected)] = torch.nan  # skipped at one checkpoint
    assert effective(late, foreground).kept.sum() == sum(expected) - 1
    assert math.isnan(effective(late[:, :0], foreground[:0]).dropped)


def test_interval_of_a_mean_is_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 17)
    found = over_images(torch.from_numpy(np.append(values, np.nan)))
    half = stats.t.ppf(0.975, 16) * values.std(ddof=1) / math.sqrt(17)
    assert found.n_images == 17
    np.testing.assert_allclose(found[:3], values.mean() + np.array([0, -half, half]))


def test_interval_of_a_variance_is_the_jackknife() -> None:
    values = np.random.default_rng(1).exponential(2, 12)
    found = over_images(torch.from_numpy(values), "variance")
    without = [np.var(np.delete(values, k)) for k in range(12)]
    half = stats.t.ppf(0.975, 11) * math.sqrt(11 / 12 * np.square(without - np.mean(without)).sum())
    low = max(0, values.var() - half)
    np.testing.assert_allclose(found[:3], [values.var(), low, values.var() + half])


def test_intervals_have_their_nominal_coverage() -> None:
    rng = np.random.default_rng(2)
    held = []
    for _ in range(400):
        values = torch.from_numpy(rng.uniform(0, 1, 40))
        mean, variance = over_images(values), over_images(values, "variance")
        held.append((mean.low < 0.5 < mean.high, variance.low < 1 / 12 < variance.high))
    assert np.mean(held, 0) == pytest.approx([0.95, 0.95], abs=0.035)


def test_few_images_give_no_interval() -> None:
    two = over_images(torch.tensor([1, 4]))
    assert two.value == 2.5
    assert math.isnan(two.low)
    assert math.isnan(two.high)
    none = over_images(torch.tensor([math.nan]))
    assert math.isnan(none.value)
    assert none.n_images == 0
    constant = over_images(torch.ones(5), "variance")
    assert constant[:3] == (0, 0, 0)
