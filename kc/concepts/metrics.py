"""Concepts counted from entropy maps: how many, where, when most, how many are kept."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from torch import Tensor

from kc.concepts.probe import shrink
from kc.errors import SettingsError

LEAST = 3
"""Fewer images than these give no interval."""


class Counts(NamedTuple):
    """Concepts of one network, layer and checkpoint [C20, Eq. (3)]."""

    foreground: Bool[Tensor, "n grid grid"]
    """S(I): foreground cells that are concepts."""
    n_fg: Int[Tensor, " n"]
    n_bg: Int[Tensor, " n"]
    ratio: Float[Tensor, " n"]
    """N_fg / (N_fg + N_bg), 0 where there is no concept; lambda is its mean."""
    usable: Bool[Tensor, " n"]
    """Images with an entropy map and a level to compare with; the others count no concept."""


class Interval(NamedTuple):
    """A number over images with its 95 % interval."""

    value: float
    low: float
    """NaN where there are too few images to say."""
    high: float
    n_images: int


def foreground_cells(mask: Bool[Tensor, "n h w"], grid: int = 16) -> Bool[Tensor, "n grid grid"]:
    """Call a cell foreground where at least half of its pixels are.

    The paper does not say how its masks came to the grid.
    """
    pixels = mask.double()
    return shrink(pixels, grid) >= 0.5 * shrink(torch.ones_like(pixels), grid)


def count_concepts(
    H: Float[Tensor, "n grid grid"],
    foreground: Bool[Tensor, "n grid grid"],
    threshold: float,
    level: Literal["image", "dataset"] = "image",
) -> Counts:
    r"""Count the cells that the layer keeps much of [C20, Eq. (3)].

    .. math:: N^{fg}(x) = \sum_{i \in \Lambda_{fg}} 1(\bar H - H_i > b), \quad
              N^{bg}(x) = \sum_{i \in \Lambda_{bg}} 1(\bar H - H_i > b)

    Parameters
    ----------
    H
        Entropy maps, nats; NaN where an image was skipped.
    threshold
        b: 0.25 for AlexNet, 0.2 for others.
    level
        Hbar over the background of the ``image``, as printed; or, as released, over those of the
        whole ``dataset``: the mean of the images' means. An image that is all foreground has no
        level of its own and is not usable by the first reading.
    """
    own = background_mean(H, foreground)
    bar = own if level == "image" else own.nanmean().expand_as(own)
    concept = bar[:, None, None] - H > threshold  # False wherever a NaN takes part
    usable = ~(bar.isnan() | H.isnan().flatten(1).any(1))
    n_fg = (concept & foreground).sum((1, 2))
    n_bg = (concept & ~foreground).sum((1, 2))
    ratio = n_fg / (n_fg + n_bg).clamp(min=1)
    return Counts(concept & foreground, n_fg, n_bg, ratio, usable)


def background_mean(
    H: Float[Tensor, "*m n grid grid"], foreground: Bool[Tensor, "n grid grid"]
) -> Float[Tensor, "*m n"]:
    """Hbar: the mean of H over the background, NaN where there is none."""
    return H.where(~foreground, torch.nan).flatten(-2).nanmean(-1).where(_whole(H), torch.nan)


def richest_checkpoint(n_fg: Int[Tensor, "m n"], epochs: Sequence[int]) -> Int[Tensor, " n"]:
    """Give the row of the checkpoint with most foreground concepts, for each image.

    m_hat = arg max_k N_k^fg(I) [C20, Sec. 3.3]; the earliest on ties; epoch 0 left out.
    """
    rows = _trained(epochs)
    # the first of equals: argmax alone does not promise it
    later = n_fg[rows]
    first = (later == later.amax(0)).int().cumsum(0).clamp(max=1).sum(0)
    return torch.tensor(rows, device=n_fg.device)[len(rows) - first]


def kept_share(
    concepts: Bool[Tensor, "m n grid grid"], epochs: Sequence[int]
) -> Float[Tensor, " n"]:
    r"""Share of the foreground concepts ever learned that the last checkpoint still has.

    .. math:: \rho = \|S_M(I)\| / \|\bigcup_{j=1}^M S_j(I)\|

    [C20, Eq. (5)], epoch 0 left out; NaN where nothing was ever learned. A low rho means detours.
    """
    learned = concepts[_trained(epochs)]
    union = learned.any(0).sum((1, 2))
    return torch.where(union > 0, learned[-1].sum((1, 2)) / union, torch.nan)


def effective(
    H: Float[Tensor, "late n grid grid"], foreground: Bool[Tensor, "n grid grid"]
) -> Bool[Tensor, " n"]:
    """Select images whose background entropy is not below the foreground's at late checkpoints.

    The released code keeps only these. That selects in favour of the claim, so it is off by
    default, and the share it would drop is printed. An image without foreground or background
    is not selected.
    """
    background = background_mean(H, foreground)
    front = background_mean(H, ~foreground)
    return (background >= front).all(0)


def over_images(
    values: Float[Tensor, " n"], statistic: Literal["mean", "variance"] = "mean"
) -> Interval:
    """Average over images, or take their variance, with the jackknife and t(n - 1).

    NaN values are left out. For the mean the jackknife is the t interval. The interval says
    nothing about training's randomness: all values are one network's.
    """
    numbers = values.double().cpu().numpy()
    numbers = numbers[~np.isnan(numbers)]
    n = len(numbers)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    value = float(numbers.mean() if statistic == "mean" else numbers.var())
    if n < LEAST:
        return Interval(value, math.nan, math.nan, n)
    theta = _without_one(numbers, statistic)
    error = math.sqrt((n - 1) / n * float(np.square(theta - theta.mean()).sum()))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Interval(value, value - half, value + half, n)


def _without_one(numbers: np.ndarray, statistic: str) -> np.ndarray:
    """Give the statistic without each of the numbers in turn."""
    n = len(numbers)
    away = numbers - numbers.mean()
    mean = -away / (n - 1)
    if statistic == "mean":
        return mean
    result: np.ndarray = (np.square(away).sum() - np.square(away)) / (n - 1) - np.square(mean)
    return result


def _whole(H: Tensor) -> Tensor:
    return ~H.isnan().flatten(-2).any(-1)


def _trained(epochs: Sequence[int]) -> list[int]:
    rows = [row for row, epoch in enumerate(epochs) if epoch > 0]
    if not rows or list(epochs) != sorted(epochs):
        raise SettingsError(
            f"concepts.checkpoints: expected rising epochs with at least one after 0, got "
            f"{list(epochs)}. Cure: list the epochs in order, such as 0, 2, 5, 10"
        )
    return rows
