"""Foreground cells from masks of any size, pixel by pixel."""

import numpy as np
import pytest
import torch
from torch import nn

from kc.concepts import EntropySettings, foreground_cells, pixel_entropy
from kc.concepts.probe import enlarge
from kc.errors import ImageError
from tests.reference import plain_concepts as plain


@pytest.mark.parametrize(("height", "width"), [(64, 64), (227, 227), (40, 40), (75, 101), (16, 33)])
def test_cells_equal_the_plain_version(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    # smooth blobs, so that cells differ
    rough = torch.from_numpy(rng.normal(size=(3, 1, 9, 9)))
    smooth = nn.functional.interpolate(rough, size=(height, width), mode="bilinear")[:, 0]
    mask = smooth > 0
    found = foreground_cells(mask)
    assert found.shape == (3, 16, 16)
    for cells, one in zip(found, mask, strict=True):
        assert np.array_equal(cells.numpy(), plain.cells(one.numpy(), 16))
    assert 0.2 < found.double().mean() < 0.8


@pytest.mark.parametrize("side", [16, 64, 227, 100])
def test_mask_made_of_cells_is_recovered(side: int) -> None:
    cells = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.5
    mask = enlarge(cells.float(), side, side) > 0
    assert torch.equal(foreground_cells(mask), cells)
    # rows are y, columns x
    assert torch.equal(foreground_cells(mask.mT), cells.mT)


def test_half_of_the_pixels_is_enough_and_less_is_not() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, :2, :4] = True  # 8 of the 16 pixels of the first cell
    mask[0, 4:6, :4] = True
    mask[0, 4, 0] = False  # 7 of the one below
    found = foreground_cells(mask)[0]
    assert found[0, 0]
    assert found.sum() == 1


def test_other_grids_and_no_foreground_at_all() -> None:
    mask = torch.zeros(1, 20, 30, dtype=torch.bool)
    assert not foreground_cells(mask, 4).any()
    assert foreground_cells(~mask, 4).all()
    mask[0, :, :15] = True
    assert foreground_cells(mask, 2)[0].tolist() == [[True, False], [True, False]]


def test_pictures_smaller_than_the_grid_are_refused() -> None:
    with pytest.raises(ImageError, match=r"mask of 40 x 15 pixels .* at least 16 x 16"):
        foreground_cells(torch.ones(1, 40, 15, dtype=torch.bool))
    head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 15 * 15, 2)).eval()
    with pytest.raises(ImageError, match=r"images of 15 x 15 pixels .* at least 16 x 16"):
        pixel_entropy(head, torch.zeros(1, 3, 15, 15), EntropySettings(), [1], torch.device("cpu"))
