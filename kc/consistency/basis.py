"""Change the basis of g's weights so that their inputs are closer to white, for faster training.

Features vary much in some directions and little in others, and gradient descent needs thousands
of steps to reach the latter. Here weights are W = V M with
M = (moments of the inputs)^(-POWER / 2), and the optimiser changes V.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

POWER = 0.35
"""1 would whiten inputs fully, which amplifies noise in directions of small variance; 0: no change.
Chosen on four pairs, confirmed on others (docs/fitting.md)."""
FLOOR = 1e-3
"""Added to eigenvalues, in units of their mean."""


class Basis(NamedTuple):
    """M of a weight (d, c, y, x) or (d, c): one factor for channels, one for kernel positions."""

    channels: Float[Tensor, "c c"]
    taps: Float[Tensor, "t t"]

    def apply(self, weight: Float[Tensor, "d c *kernel"]) -> Float[Tensor, "d c *kernel"]:
        """Multiply by M, which is symmetric: from V to W, and from W's gradient to V's."""
        split = weight.flatten(2) if weight.ndim > 2 else weight[..., None]
        turned = torch.einsum("dct,ce->det", split, self.channels)
        return (turned @ self.taps).reshape(weight.shape)

    @property
    def inverse(self) -> "Basis":
        """The basis that maps W to V."""
        return Basis(*(torch.linalg.inv(factor.double()).float() for factor in self))


class InputMoments(NamedTuple):
    """Partial traces of the second moments of patches, from which a basis is computed."""

    channels: Float[Tensor, "c c"]
    """Summed over taps."""
    taps: Float[Tensor, "t t"]
    """Summed over channels."""

    @property
    def of_channels_alone(self) -> "InputMoments":
        """The moments for a weight of kernel size 1."""
        return InputMoments(self.channels, torch.ones_like(self.taps[:1, :1]))


def traces(moments: Float[Tensor, "u u"], channels: int) -> InputMoments:
    """Return the partial traces of second moments whose units are channels by taps."""
    taps = len(moments) // channels
    split = moments.reshape(channels, taps, channels, taps)
    return InputMoments(torch.einsum("ctet->ce", split), torch.einsum("ctcs->ts", split))


def basis_of(moments: InputMoments) -> Basis:
    """Return M for the second moments of patches.

    The factors are roots of the moments' partial traces: exact if space and channels are
    independent, and small enough for wide layers.
    """
    return Basis(_root(moments.channels), _root(moments.taps))


def _root(moments: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(moments)
    scaled = (values.clamp_min(0) / values.mean() + FLOOR) ** (-POWER / 2)
    root: Tensor = (vectors * (scaled / scaled.mean())) @ vectors.T
    return root.float()
