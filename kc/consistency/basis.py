"""A basis in which the inputs of g's weights are nearer to white, so that training is even.

Features vary much in some directions and little in others; gradient steps follow the former for
thousands of steps before they come to the latter. Here weights are W = V M with
M = (moments of the inputs)^(-POWER / 2), and V is what the optimiser moves.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

POWER = 0.35
"""1 would make inputs white, and noise in what hardly varies as loud as the rest; 0 does nothing.
Chosen on four pairs, confirmed on others (docs/fitting.md)."""
FLOOR = 1e-3
"""Added to eigenvalues, in units of their mean."""


class Basis(NamedTuple):
    """M of a weight (d, c, y, x) or (d, c): one factor for channels, one for a kernel's taps."""

    channels: Float[Tensor, "c c"]
    taps: Float[Tensor, "t t"]

    def apply(self, weight: Float[Tensor, "d c *kernel"]) -> Float[Tensor, "d c *kernel"]:
        """Multiply by M, which is symmetric: from V to W, and from W's gradient to V's."""
        split = weight.flatten(2) if weight.ndim > 2 else weight[..., None]
        turned = torch.einsum("dct,ce->det", split, self.channels)
        return (turned @ self.taps).reshape(weight.shape)

    @property
    def inverse(self) -> "Basis":
        """From W to V."""
        return Basis(*(torch.linalg.inv(factor.double()).float() for factor in self))


def basis_of(moments: Float[Tensor, "u u"], channels: int) -> Basis:
    """Take M from the second moments of patches, whose units are channels by taps.

    Both factors are those of the moments' partial traces: exact where space and channels are
    independent, and small enough for wide layers.
    """
    taps = len(moments) // channels
    split = moments.reshape(channels, taps, channels, taps)
    of_channels = torch.einsum("ctet->ce", split)
    of_taps = torch.einsum("ctcs->ts", split)
    return Basis(_root(of_channels), _root(of_taps))


def _root(moments: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(moments)
    scaled = (values.clamp_min(0) / values.mean() + FLOOR) ** (-POWER / 2)
    root: Tensor = (vectors * (scaled / scaled.mean())) @ vectors.T
    return root.float()
