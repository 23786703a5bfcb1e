"""Describe which networks pairs share, and what the jackknife over networks makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairDesign:
    """Pairs of networks whose values are averaged.

    A value is a mean plus the effects of its two networks plus one of the pair. The jackknife
    variance is a quadratic form of the values, so its mean and its degrees of freedom follow from
    the variances of these effects. It is divided by ``excess``, its mean over the true variance in
    the case where that ratio is least. All pairs: 1, where networks alone differ, with m - 1
    degrees of freedom; where pairs alone differ the interval is too wide. A ring of five: 1.56,
    since two of four pairs are left out with a network, with 2.1 degrees of freedom.
    """

    networks: tuple[str, ...]
    first: NDArray[np.int64]
    """Number of one network of each pair."""
    second: NDArray[np.int64]

    @classmethod
    def of(cls, first: Sequence[str], second: Sequence[str]) -> "PairDesign":
        """Number the networks of some pairs."""
        networks = tuple(sorted({*first, *second}))
        ends = (np.array([networks.index(name) for name in side]) for side in (first, second))
        return cls(networks, *ends)

    @property
    def is_complete(self) -> bool:
        """Whether pairs are left without each of the networks."""
        return bool(self._kept.any(axis=1).all())

    @cached_property
    def without(self) -> Floats:
        """Weights of the means without each network: (networks, pairs)."""
        return self._kept / self._kept.sum(axis=1, keepdims=True)

    @cached_property
    def excess(self) -> float:
        """Least ratio of the jackknife variance to the true one."""
        m = len(self.networks)
        return min(
            (m - 1) / m * float(np.trace(self._centred(effects))) / float(effects.mean())
            for effects in self._effects
        )

    @property
    def df(self) -> float:
        """Least degrees of freedom of the jackknife variance, by Satterthwaite."""
        return degrees(self.shape)

    @property
    def shape(self) -> Floats:
        """Covariance of the means without each network, with the least degrees of freedom.

        Scaled to a trace of 1: (networks, networks).
        """
        return min(self._shapes, key=degrees)

    def error(self, values: Any) -> Any:
        """Return the standard error of the mean over the last axis, (..., pairs)."""
        return spread(np.asarray(values) @ self.without.T) / np.sqrt(self.excess)

    @property
    def _kept(self) -> NDArray[np.bool_]:
        numbers = np.arange(len(self.networks))[:, None]
        kept: NDArray[np.bool_] = (self.first != numbers) & (self.second != numbers)
        return kept

    @cached_property
    def _effects(self) -> tuple[Floats, Floats, Floats]:
        """Covariances of the values where networks alone, pairs alone or fits alone differ."""
        member = np.stack([self.first, self.second]) == np.arange(len(self.networks))[:, None, None]
        ends = member.sum(axis=1).T.astype(np.float64)  # (pairs, networks)
        pair = (ends[:, None] == ends[None]).all(axis=2).astype(np.float64)
        return ends @ ends.T, pair, np.eye(len(ends))

    @property
    def _shapes(self) -> list[Floats]:
        found = [self._centred(effects) for effects in self._effects]
        return [covariance / np.trace(covariance) for covariance in found]

    def _centred(self, effects: Floats) -> Floats:
        """Return the covariance of the means without each network about their mean."""
        left = self.without - self.without.mean(axis=0)
        return left @ effects @ left.T


def degrees(covariance: Floats) -> float:
    """Return the degrees of freedom of a sum of squares of that covariance, by Satterthwaite."""
    return float(np.trace(covariance) ** 2 / np.trace(covariance @ covariance))


def spread(theta: Any) -> Any:
    """Return the jackknife's standard error from means without each network, (..., networks)."""
    m = theta.shape[-1]
    deviations = theta - theta.mean(axis=-1, keepdims=True)
    return np.sqrt((m - 1) / m * np.square(deviations).sum(axis=-1))
