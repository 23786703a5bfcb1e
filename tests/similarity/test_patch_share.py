"""The linear share of patches from inner products equals that from moments."""

import numpy as np
import pytest
import torch

from kc.consistency.data import pair_up
from kc.similarity import measures
from kc.similarity.formulas import linear_share
from kc.similarity.measures import PATCHES, similarities
from kc.similarity.patch_share import patch_share
from kc.similarity.row_measures import RowView

TRAIN, TEST = np.arange(14), np.arange(14, 24)


def features(size):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(24, 30, *size)).astype(np.float32))
    weight = torch.from_numpy(rng.normal(size=(4, 30, 3, 3)).astype(np.float32))
    y = torch.nn.functional.conv2d(x, weight, padding=1) + 1
    return x, y


@pytest.mark.parametrize("size", [(2, 3), (3, 3)])
def test_the_patch_share_uses_the_smallest_solution_of_least_squares(size):
    x, y = features(size)
    x[:, 1:] *= 0.1
    pair = pair_up(x, y, torch.device("cpu"))
    wanted = linear_share(*RowView(pair, "patches", 64, 3).halves(TRAIN, TEST))
    assert 0.01 < wanted < 0.99
    assert patch_share(pair, (TRAIN, TEST), 3) == pytest.approx(wanted, rel=1e-6)
    assert patch_share(pair, (TRAIN, TEST), 1) != pytest.approx(wanted, rel=0.01)
    assert similarities(x, y, TRAIN, TEST)[PATCHES] == pytest.approx(wanted, rel=1e-6)


def test_the_patch_share_is_nan_if_both_matrices_are_too_large(monkeypatch):
    x, y = features((2, 3))
    monkeypatch.setattr(measures, "MANY", 100)
    assert np.isnan(similarities(x, y, TRAIN, TEST)[PATCHES])


def test_the_patch_share_is_nan_if_the_source_varies_by_rounding():
    generator = torch.Generator().manual_seed(0)
    x = 1 + 1e-6 * torch.randn(30, 5, 3, 3, generator=generator)
    y = torch.randn(30, 2, 1, 1, generator=generator)
    share = patch_share(pair_up(x, y, torch.device("cpu")), (np.arange(18), np.arange(18, 30)), 3)
    assert np.isnan(share)
