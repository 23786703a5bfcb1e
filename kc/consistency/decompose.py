"""Split x* = x(0) + ... + x(K) + x(delta), in the target's units [L20, Eq. (3)]."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from kc.consistency.data import FeaturePair
from kc.consistency.net import ConsistencyNet
from kc.consistency.order import Rows
from kc.consistency.variance import Moments

TOLERANCE = 1e-5
"""Largest difference between the parts' sum and the forward pass, in units of its scale."""


class Normalisation(NamedTuple):
    """Mean and standard deviation of each layer [L20, footnote 2]; 0 and 1 under ``released``.

    There may be one mean for each channel instead, shaped to broadcast over one image's feature:
    then constants of the target are given, and g needs no bias.
    """

    source_mean: float | Tensor = 0.0
    source_std: float = 1.0
    target_mean: float | Tensor = 0.0
    target_std: float = 1.0

    def to(self, device: torch.device | str) -> "Normalisation":
        """Move the means."""
        means: dict[str, Any] = {
            name: value.to(device)
            for name, value in self._asdict().items()
            if isinstance(value, Tensor)
        }
        return self._replace(**means)

    def source(self, x: Tensor) -> Tensor:
        """Convert a source feature to the units of g."""
        return (x - self.source_mean) / self.source_std

    def target(self, y: Tensor) -> Tensor:
        """Convert a target feature to the units of g."""
        return (y - self.target_mean) / self.target_std


class Decomposition(NamedTuple):
    """The parts of a target feature; they sum to it."""

    components: Float[Tensor, "orders n *target"]
    """x(0)..x(K), in the target's own units; the removed mean belongs to x(0)."""
    delta: Float[Tensor, "n *target"]
    """x* - g(x): what this g does not give."""


def decompose(
    net: ConsistencyNet,
    units: Normalisation,
    x: Float[Tensor, "n *source"],
    y: Float[Tensor, "n *target"],
) -> Decomposition:
    """Split one block, and check the parts against the ordinary forward pass.

    If the sum is not exact enough in float32 (``sigma="image"`` divides by standard deviations
    that may be close to 0), the block is computed and checked in float64 instead.

    Raises
    ------
    RuntimeError
        The parts do not sum to g(x): an error in kc, never in the data.
    """
    with torch.no_grad(), exact_products():
        components, error = _split(net, units.source(x))
        if not error <= TOLERANCE:
            precise, error = _split(deepcopy(net).double(), units.source(x).double())
            components = precise.to(y.dtype)
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"the parts of g(x) miss its forward pass by {error:.2e} of its scale; allowed "
                f"{TOLERANCE:.0e}. This is an error in kc.consistency.net: report it."
            )
        components *= units.target_std
        # subtract the mean first: float32 would lose small parts next to a large mean
        delta = (y - units.target_mean) - components.sum(0)
        components[0] += units.target_mean
        return Decomposition(components, delta)


def blocks(
    net: ConsistencyNet, units: Normalisation, pair: FeaturePair, rows: Rows, block: int = 128
) -> Iterator[tuple[Decomposition, Tensor]]:
    """Split the rows from first to last; each block comes with its target."""
    net.eval()
    for x, y in pair.in_order(rows, block):
        yield decompose(net, units, x, y), y


def moments(net: ConsistencyNet, units: Normalisation, pair: FeaturePair, rows: Rows) -> Moments:
    """Return the moments of x0..xK, xdelta and the target over the rows."""
    found = Moments()
    for parts, y in blocks(net, units, pair, rows):
        found.add(stacked(parts, y), net.channel_axis)
    return found


def stacked(parts: Decomposition, y: Tensor) -> Float[Tensor, "parts n *target"]:
    """Stack x0..xK, xdelta and the target along the first axis."""
    return torch.cat([parts.components, parts.delta[None], y[None]])


@contextmanager
def exact_products() -> Iterator[None]:
    """Make a GPU's convolutions exact float32 and deterministic."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


def _split(net: ConsistencyNet, x: Tensor) -> tuple[Tensor, float]:
    """Return the parts, and the relative error of their sum against the forward pass."""
    components, whole = net.components_and_sum(x)
    error = float(components.sum(0).sub_(whole).abs_().max())
    return components, error / max(float(whole.abs().max()), torch.finfo(whole.dtype).tiny)
