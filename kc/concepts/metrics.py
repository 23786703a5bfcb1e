"""Numbers of concepts from entropy maps: counts, the richest checkpoint, the share kept."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kc.concepts.intervals import Interval, over_images
from kc.errors import SettingsError


class Counts(NamedTuple):
    """Concepts of one network, layer and checkpoint [C20, Eq. (3)]."""

    foreground: Bool[Tensor, "n grid grid"]
    """S(I): foreground cells that are concepts."""
    n_fg: Int[Tensor, " n"]
    """Number of foreground cells that are concepts."""
    n_bg: Int[Tensor, " n"]
    """Number of background cells that are concepts."""
    ratio: Float[Tensor, " n"]
    """N_fg / (N_fg + N_bg), 0 without concepts; lambda is its mean."""
    usable: Bool[Tensor, " n"]
    """Images with an entropy map and a background level; the others count no concept."""
    background: Bool[Tensor, "n grid grid"]
    """Background cells that are concepts."""


class Summary(NamedTuple):
    """Columns of Tables 2 and 3 for one checkpoint, over its usable images."""

    n_fg: Interval
    n_bg: Interval
    lambda_ratio: Interval
    """lambda = E[N_fg / (N_fg + N_bg)] [C20, Eq. (3)]."""


class Selection(NamedTuple):
    """Images that the released code would keep."""

    kept: Bool[Tensor, " n"]
    dropped: float
    """Share of images that it would drop; NaN without images."""


def count_concepts(
    H: Float[Tensor, "n grid grid"],
    foreground: Bool[Tensor, "n grid grid"],
    threshold: float,
    level: Literal["image", "released"] = "image",
) -> Counts:
    r"""Count concepts: cells with an entropy well below the background's [C20, Eq. (3)].

    .. math:: N^{fg}(x) = \sum_{i \in \Lambda_{fg}} 1(\bar H - H_i > b), \quad
              N^{bg}(x) = \sum_{i \in \Lambda_{bg}} 1(\bar H - H_i > b)

    Parameters
    ----------
    H
        Entropy maps, nats; NaN where an image was skipped.
    foreground
        Lambda_fg (:func:`kc.concepts.foreground_cells`); all other cells are Lambda_bg.
    threshold
        b, nats: 0.25 for AlexNet, 0.2 for others.
    level
        ``image``: Hbar is the mean over the image's background, as printed; ``released``: the mean
        of that over the images of this checkpoint. An image without background is usable only
        with ``released``.
    """
    own = background_mean(H, foreground)
    bar = own if level == "image" else own.nanmean().expand_as(own)
    concept = bar[:, None, None] - H > threshold  # False if a value is NaN
    usable = ~(bar.isnan() | H.isnan().flatten(1).any(1))
    n_fg = (concept & foreground).sum((1, 2))
    n_bg = (concept & ~foreground).sum((1, 2))
    ratio = n_fg.double() / (n_fg + n_bg).clamp(min=1)
    return Counts(concept & foreground, n_fg, n_bg, ratio, usable, concept & ~foreground)


def summarise(counts: Counts) -> Summary:
    """Average N_fg, N_bg and the ratio over usable images [C20, Eq. (3)], with 95 % intervals."""
    use = counts.usable
    return Summary(*(over_images(x[use]) for x in (counts.n_fg, counts.n_bg, counts.ratio)))


def background_mean(
    H: Float[Tensor, "*m n grid grid"], foreground: Bool[Tensor, "n grid grid"]
) -> Float[Tensor, "*m n"]:
    """Return Hbar, the mean of H over the background; NaN without background."""
    behind = H.double().where(~foreground, torch.nan).flatten(-2)
    return behind.nanmean(-1)


def richest_checkpoint(n_fg: Int[Tensor, "m n"], epochs: Sequence[int]) -> Int[Tensor, " n"]:
    r"""Return the row of the checkpoint with most foreground concepts, for each image.

    .. math:: \hat m = \arg\max_k N_k^{fg}(I)

    [C20, Sec. 3.3], among the checkpoints after epoch 0, the earliest on ties, so the first for an
    image without concepts.

    Parameters
    ----------
    n_fg
        Foreground concepts at each of m checkpoints.
    epochs
        The m checkpoints' epochs, rising.

    Raises
    ------
    SettingsError
        The epochs do not rise, or none is after 0.
    """
    rows = _trained(epochs)
    # the first of equals, which argmax does not guarantee
    later = n_fg[rows]
    first = (later == later.amax(0)).int().cumsum(0).clamp(max=1).sum(0)
    return torch.tensor(rows, device=n_fg.device)[len(rows) - first]


def kept_share(
    concepts: Bool[Tensor, "m n grid grid"], epochs: Sequence[int]
) -> Float[Tensor, " n"]:
    r"""Return the share of all foreground concepts ever learned that the last checkpoint has.

    .. math:: \rho = \|S_M(I)\| / \|\bigcup_{j=1}^M S_j(I)\|

    [C20, Eq. (5)], without epoch 0; NaN if no concept was learned, so that
    :func:`kc.concepts.over_images` averages over the others. A low rho means detours.

    Parameters
    ----------
    concepts
        S_j(I), ``Counts.foreground`` of each of m checkpoints. Leave out images that are not
        usable at a checkpoint: their set would be empty.
    epochs
        The m checkpoints' epochs, rising.

    Raises
    ------
    SettingsError
        The epochs do not rise, or none is after 0.
    """
    learned = concepts[_trained(epochs)]
    union = learned.any(0).sum((1, 2))
    return torch.where(union > 0, learned[-1].sum((1, 2)).double() / union, torch.nan)


def effective(
    H: Float[Tensor, "late n grid grid"], foreground: Bool[Tensor, "n grid grid"]
) -> Selection:
    """Select images whose background entropy is at least the foreground's at late checkpoints.

    The released code does so, for H (nats) of each late checkpoint. This favours the claim: do not
    use it by default, and report the share it drops. Images that were skipped, or that lack
    foreground or background, are dropped.
    """
    background = background_mean(H, foreground)
    front = background_mean(H, ~foreground)
    kept = (background >= front).all(0)
    return Selection(kept, 1 - float(kept.double().mean()) if len(kept) else math.nan)


def _trained(epochs: Sequence[int]) -> list[int]:
    rows = [row for row, epoch in enumerate(epochs) if epoch > 0]
    if not rows or list(epochs) != sorted(epochs):
        raise SettingsError(
            f"concepts.checkpoints: expected rising epochs with at least one after 0, got "
            f"{list(epochs)}. Fix: list the epochs in order, such as 0, 2, 5, 10"
        )
    return rows
