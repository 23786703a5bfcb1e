"""x* = x(0) + ... + x(K) + x(delta), in the target's own units [L20, Eq. (3)]."""

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
    """One mean and one deviation a layer [L20, footnote 2]; 0 and 1 under ``released``.

    A mean may be one for each channel instead, shaped to be broadcast over one image's feature:
    then what is constant in the target is given, and g needs no bias.
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
        """Bring a source feature into the units g works in."""
        return (x - self.source_mean) / self.source_std

    def target(self, y: Tensor) -> Tensor:
        """Bring a target feature into the units g works in."""
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

    Where float32 cannot hold the sum (``sigma="image"`` divides by deviations that may be next to
    nothing), the block is made in float64 instead, and checked there.

    Raises
    ------
    RuntimeError
        The parts do not sum to g(x): a fault of ours, never the data's.
    """
    with torch.no_grad(), exact_products():
        components, error = _split(net, units.source(x))
        if not error <= TOLERANCE:
            precise, error = _split(deepcopy(net).double(), units.source(x).double())
            components = precise.to(y.dtype)
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"the parts of g(x) miss its forward pass by {error:.2e} of its scale; allowed "
                f"{TOLERANCE:.0e}. This is a fault in kc.consistency.net: report it."
            )
        components *= units.target_std
        # about the mean: beside a far larger mean float32 would round the rest away
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
    """Sum up the variances of x0..xK, xdelta and the target over the rows."""
    found = Moments()
    for parts, y in blocks(net, units, pair, rows):
        found.add(stacked(parts, y), net.channel_axis)
    return found


def stacked(parts: Decomposition, y: Tensor) -> Float[Tensor, "parts n *target"]:
    """Lay x0..xK, xdelta and the target behind one another."""
    return torch.cat([parts.components, parts.delta[None], y[None]])


@contextmanager
def exact_products() -> Iterator[None]:
    """Keep a GPU's convolutions in float32, and the same from run to run."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


def _split(net: ConsistencyNet, x: Tensor) -> tuple[Tensor, float]:
    """Return the parts, and how far their sum misses the forward pass, in units of its scale."""
    components, whole = net.components_and_sum(x)
    error = float(components.sum(0).sub_(whole).abs_().max())
    return components, error / max(float(whole.abs().max()), torch.finfo(whole.dtype).tiny)
