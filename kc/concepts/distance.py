"""Cumulative distance of the weights in training, and its value when concepts are most."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kc.concepts.intervals import Interval, over_images
from kc.errors import NetworkError


class WeightDistance:
    r"""Cumulative weight distance, summed during training [C20, Eq. (4)].

    .. math:: \sum_{k=1}^{m} \|w_k - w_{k-1}\| / \|w_0\|

    There are three versions: as printed, pass all parameters and call :meth:`update` once per
    epoch; to compare a student with a baseline, pass those up to the target layer, which both
    train; as released, pass only the analysed layer's weight and call it after each step. Distances
    have no unit. Memory: one copy of the parameters.

    Parameters
    ----------
    parameters
        Tensors that training changes in place; read at creation (w_0) and at each update.
    resumed
        ``(initial, total)`` of a :attr:`state` saved right after an update; the weights of that
        moment must be loaded.

    Raises
    ------
    NetworkError
        The weights are all 0 at the start, or there are none.
    """

    def __init__(
        self, parameters: Iterable[Tensor], resumed: tuple[float, float] | None = None
    ) -> None:
        self._parameters = list(parameters)
        self._last = [p.detach().clone() for p in self._parameters]
        self.initial, self.total = resumed or (_norm(self._last), 0.0)
        if self.initial == 0:
            raise NetworkError(
                f"weight distance: the initial weights ({len(self._last)} tensors) are all 0, so "
                "their norm cannot be a divisor. Fix: choose a layer that has weights"
            )

    def update(self) -> float:
        """Add the distance since the last update; return the sum so far."""
        now = [p.detach() for p in self._parameters]
        way = _norm([new - old for new, old in zip(now, self._last, strict=True)])
        for new, old in zip(now, self._last, strict=True):
            old.copy_(new)
        self.total += way / self.initial
        return self.total

    @property
    def state(self) -> tuple[float, float]:
        """Return what resumed training needs besides the weights: ``(initial, total)``."""
        return self.initial, self.total


class LearningSpeed(NamedTuple):
    """Weight distance up to the checkpoint with most concepts, over images [C20, Eq. (4)]."""

    d_mean: Interval
    d_std: Interval
    """A variance, as printed: low means that concepts are learned simultaneously."""
    d_ratio: Interval
    """Mean of D(richest) / D(last), which no factor on all steps changes; NaN without movement."""


def learning_speed(distance: Float[Tensor, " m"], richest: Int[Tensor, " n"]) -> LearningSpeed:
    r"""Return mean and variance of the distance at each image's richest checkpoint.

    .. math:: D_{mean} = E_I \Big[ \sum_{k=1}^{\hat m(I)} \|w_k - w_{k-1}\| / \|w_0\| \Big], \quad
              D_{std} = Var_I [\ldots]

    [C20, Eq. (4)]; small values mean that concepts are learned quickly and simultaneously. A higher
    learning rate makes both larger; the ratio of the distance at the richest checkpoint to that at
    the last one depends only on how training is divided.

    Parameters
    ----------
    distance
        Cumulative weight distance at the m checkpoints, no unit.
    richest
        Row of each image's richest checkpoint (:func:`kc.concepts.richest_checkpoint`).
    """
    travelled = distance[richest]
    last = float(distance[-1])
    shares = travelled / (last or math.nan)
    return LearningSpeed(
        over_images(travelled), over_images(travelled, "variance"), over_images(shares)
    )


def _norm(tensors: list[Tensor]) -> float:
    """Return the norm of all tensors as one vector, summed in float64."""
    norms = [torch.linalg.vector_norm(t, dtype=torch.float64) for t in tensors]
    return float(torch.stack(norms).norm()) if norms else 0.0
