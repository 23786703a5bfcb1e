"""Foreground cells of a grid, from a mask of pixels."""

from jaxtyping import Bool
from torch import Tensor

from kc.concepts.probe import shrink
from kc.errors import ImageError


def foreground_cells(mask: Bool[Tensor, "n y x"], grid: int = 16) -> Bool[Tensor, "n grid grid"]:
    """Return the cells of which at least half of the pixels are foreground.

    Pixel (y, x) lies in cell (y grid // height, x grid // width), the same cell as in
    :func:`kc.concepts.pixel_entropy`, so a mask may have any size if it shows the same part of the
    picture as the network's input. The paper does not say how masks were put on the grid
    [C20, Sec. 3.2].

    Raises
    ------
    ImageError
        The mask has fewer pixels on a side than the grid has cells.
    """
    if min(mask.shape[1:]) < grid:
        raise ImageError(
            f"foreground: a mask of {mask.shape[1]} x {mask.shape[2]} pixels is too small for the "
            f"grid; expected at least {grid} x {grid}. "
            "Fix: use larger pictures, or a smaller entropy.grid"
        )
    inside = mask.double()
    return shrink(inside, grid) >= 0.5 * shrink(inside.new_ones(inside.shape), grid)
