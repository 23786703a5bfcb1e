"""How far the weights have travelled, and how far until an image's concepts were richest."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kc.concepts.intervals import Interval, over_images
from kc.errors import NetworkError


class WeightDistance:
    r"""Cumulative weight distance, kept while training [C20, Eq. (4)].

    .. math:: \sum_{k=1}^{m} \|w_k - w_{k-1}\| / \|w_0\|

    Two readings: as printed, give all parameters and call :meth:`update` once an epoch; as
    released, give the analysed layer's weight alone and call it after each step. Distances have
    no unit. Memory: one copy of the parameters given.

    Parameters
    ----------
    parameters
        The tensors that training changes in place; read when made (w_0) and at each update.
    resumed
        ``(initial, total)`` of a :attr:`state` saved right after an update, with the weights of
        that moment loaded already.

    Raises
    ------
    NetworkError
        The weights are all 0 at the start, or there are none: nothing to divide by.
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
                "nothing can be divided by their norm. Fix: choose a layer that has weights"
            )

    def update(self) -> float:
        """Add the way since the last update; give the sum so far."""
        now = [p.detach() for p in self._parameters]
        way = _norm([new - old for new, old in zip(now, self._last, strict=True)])
        for new, old in zip(now, self._last, strict=True):
            old.copy_(new)
        self.total += way / self.initial
        return self.total

    @property
    def state(self) -> tuple[float, float]:
        """What a resumed training needs beside the weights: ``(initial, total)``."""
        return self.initial, self.total


class LearningSpeed(NamedTuple):
    """How far the weights travel until images show most concepts [C20, Eq. (4)]."""

    d_mean: Interval
    d_std: Interval
    """A variance, as printed: low means that concepts are learned simultaneously."""


def learning_speed(distance: Float[Tensor, " m"], richest: Int[Tensor, " n"]) -> LearningSpeed:
    r"""Average the distance at each image's richest checkpoint, and take its variance.

    .. math:: D_{mean} = E_I \Big[ \sum_{k=1}^{\hat m(I)} \|w_k - w_{k-1}\| / \|w_0\| \Big], \quad
              D_{std} = Var_I [\ldots]

    [C20, Eq. (4)]; small values mean that concepts are learned quickly and simultaneously.

    Parameters
    ----------
    distance
        Cumulative weight distance at the m checkpoints, no unit.
    richest
        Row of each image's richest checkpoint (:func:`kc.concepts.richest_checkpoint`).
    """
    travelled = distance[richest]
    return LearningSpeed(over_images(travelled), over_images(travelled, "variance"))


def _norm(tensors: list[Tensor]) -> float:
    """Norm of all tensors as one vector, summed in float64."""
    norms = [torch.linalg.vector_norm(t, dtype=torch.float64) for t in tensors]
    return float(torch.stack(norms).norm()) if norms else 0.0
