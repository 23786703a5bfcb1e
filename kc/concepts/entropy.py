"""Pixel-wise entropy: how much noise each part of an image can have before a layer changes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kc.concepts.bound import fill
from kc.concepts.noise import SCALE_STEP, Noise, gaussian
from kc.concepts.path import walk
from kc.concepts.probe import Probe
from kc.concepts.settings import START, EntropySettings
from kc.concepts.units import entropy_of
from kc.errors import FeatureError, ImageError


class EntropyResult(NamedTuple):
    """Entropy maps of a layer's images, on the CPU."""

    H: Float[Tensor, "n grid grid"]
    """Entropy of each cell, nats; NaN where the image was skipped."""
    mse: Float[Tensor, " n"]
    """MSE of the feature at the final sigma; NaN where skipped."""
    s_f: Float[Tensor, " n"]
    """MSE of the feature at sigma = 0.01 everywhere."""
    skipped: Bool[Tensor, " n"]
    """Images whose feature does not change at all (s_f = 0), so that there is no search."""
    steps: Int[Tensor, " n"]
    """Steps taken; 0 where skipped."""


def pixel_entropy(
    head: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    settings: EntropySettings,
    seeds: Sequence[int],
    device: torch.device,
    noise: Noise | None = None,
) -> EntropyResult:
    r"""Search the entropy map of every image for one layer [C20, Eqs. (1), (2)].

    .. math:: \max_\sigma \frac1G \sum_i H_i \quad \text{while} \quad
              E_\epsilon \|f(x + \sigma \circ \epsilon) - f(x)\|^2 \text{ stays small}

    Parameters
    ----------
    head
        Network from images to the feature before its ReLU, in eval mode, on ``device``.
    images
        ImageNet-normalised.
    settings
        See :func:`kc.concepts.preset`. Images x draws a forward pass: ``max_batch``.
    seeds
        One per image, from its id (:func:`kc.concepts.noise.image_seed`): an image's result is, up
        to rounding, the same in any batch.
    noise
        Replaces the Gaussian noise; tests use noise with exact second moments.

    Raises
    ------
    FeatureError
        The feature is not finite.
    ImageError
        The images have fewer pixels on a side than the grid has cells.
    """
    assert len(seeds) == len(images), "one seed per image"
    if min(images.shape[2:]) < settings.grid:
        raise ImageError(
            f"entropy: images of {images.shape[2]} x {images.shape[3]} pixels are too small "
            f"for the grid; expected at least {settings.grid} x {settings.grid}. "
            "Fix: use larger pictures, or a smaller entropy.grid"
        )
    images = images.to(device)
    shape = (3, images.shape[2], images.shape[3])
    noise = noise or gaussian(shape, device, images.dtype)
    probe = Probe(head, images, seeds, noise, settings)
    scale = _scale(probe, settings)
    rows = (scale > 0).nonzero().flatten()
    H = torch.full((len(images), settings.grid, settings.grid), torch.nan, dtype=images.dtype)
    mse = torch.full((len(images),), torch.nan, dtype=images.dtype)
    steps = torch.zeros(len(images), dtype=torch.int64)
    if len(rows) > 0:
        search = walk if settings.search == "path" else fill
        found = search(probe, rows.tolist(), scale[rows], settings)
        kept = rows.cpu()
        H[kept] = entropy_of(found.sigma).cpu()
        mse[kept], steps[kept] = found.mse.cpu(), found.steps.cpu()
    return EntropyResult(H, mse, scale.cpu(), (scale == 0).cpu(), steps)


def _scale(probe: Probe, settings: EntropySettings) -> Float[Tensor, " n"]:
    """Return s_f of every image: the MSE at sigma = 0.01."""
    room = max(1, settings.max_batch // settings.scale_draws)
    cells = probe.images.new_full((room, settings.grid, settings.grid), START)
    parts = []
    for rows in torch.split(torch.arange(len(probe.images)), room):
        about = (rows.tolist(), cells[: len(rows)], [SCALE_STEP] * len(rows), settings.scale_draws)
        parts.append(probe.respond(*about, gradient=False).mse)
    scale = torch.cat(parts)
    if not bool(scale.isfinite().all()):
        bad = int((~scale.isfinite()).sum())
        raise FeatureError(
            f"entropy: the feature of {bad} of {len(scale)} images is not finite; expected finite "
            "values. Fix: check the training history of the checkpoint; it may have diverged"
        )
    return scale
