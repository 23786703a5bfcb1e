"""Entropy of a noise level."""

import math

from jaxtyping import Float
from torch import Tensor

GAUSSIAN = 0.5 * math.log(2 * math.pi * math.e)
"""Entropy of a standard normal variable, nats."""


def entropy_of(sigma: Float[Tensor, "*n grid grid"]) -> Float[Tensor, "*n grid grid"]:
    """Return H_i = log sigma_i + 0.5 log(2 pi e), nats [C20, Eq. (2)]."""
    return sigma.log() + GAUSSIAN
