"""Compute variances of parts in one pass: about one mean, as in the paper, and per channel."""

import math
from typing import Literal

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from kc.names import component_names

Centring = Literal["layer", "channel"]


class Moments:
    """Count, mean and squared deviations of each part's channels, merged block by block.

    In float64, by Chan's update, which avoids cancellation.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def add(self, parts: Float[Tensor, "parts n *shape"], channel_axis: int) -> None:
        """Add a block of images; ``channel_axis`` is that of one part."""
        axis = 2 if channel_axis == 1 and parts.ndim > 3 else parts.ndim - 1
        others = [other for other in range(1, parts.ndim) if other != axis]
        wide = parts.double()
        mean = wide.mean(others, keepdim=True)
        squares = (wide - mean).square_().sum(others)
        mean = mean.squeeze(others)
        count = math.prod(parts.shape[other] for other in others)
        total = self.count + count
        shift = mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.squares = self.squares + squares + shift.square() * (self.count * count / total)
        self.count = total

    def variance(self, centring: Centring) -> Float[Tensor, " parts"]:
        """Return the variance of each part about one mean, or about each channel's."""
        return self.global_variance if centring == "layer" else self.channel_variance.mean(1)

    def share(self, centring: Centring) -> float:
        """Return Var(x^Delta) / Var(x*), the last two parts: the FVU of the target given g."""
        variances = self.variance(centring)
        return float(variances[-2] / variances[-1])

    @property
    def global_mean(self) -> Float[Tensor, " parts"]:
        """Mean over images and units."""
        return self.mean.mean(1)

    @property
    def global_variance(self) -> Float[Tensor, " parts"]:
        """Var(z) = E[(z - E[z])^2], one mean over images and units [L20, Sec. 4.2]."""
        between = (self.mean - self.global_mean[:, None]).square().mean(1)
        return self.channel_variance.mean(1) + between

    @property
    def channel_variance(self) -> Float[Tensor, "parts c"]:
        """Variance of each channel about its own mean; its average is the released centring."""
        return self.squares / self.count


def series(values: Float[Tensor, " parts"], order: int) -> pd.Series:
    """Name the variances of x0..xK, xdelta and target, and add the cross term.

    The parts need not be uncorrelated: cross = Var(x*) - sum of all Var.
    """
    names = [*component_names(order), "target"]
    numbers = dict(zip(names, values.tolist(), strict=True))
    numbers["cross"] = numbers["target"] - sum(numbers[name] for name in names[:-1])
    return pd.Series(numbers, name="variance")


def channel_frame(values: Float[Tensor, "parts c"], order: int) -> pd.DataFrame:
    """List the variance of every channel: component, channel, variance."""
    names = [*component_names(order), "target"]
    rows = [
        (name, channel, variance)
        for name, line in zip(names, values.tolist(), strict=True)
        for channel, variance in enumerate(line)
    ]
    return pd.DataFrame(rows, columns=["component", "channel", "variance"])
