"""A fitted g, and its parts, variances and instability of features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from numpy.typing import ArrayLike

from kc.consistency.data import FeaturePair, pair_up
from kc.consistency.decompose import Decomposition, Normalisation, blocks, moments
from kc.consistency.finish import Settled
from kc.consistency.linear import LinearMap
from kc.consistency.net import ConsistencyNet
from kc.consistency.optimise import Entry
from kc.consistency.order import Rows, rows_of
from kc.consistency.variance import Centring, Moments, series
from kc.errors import FeatureError


class FitAbout(NamedTuple):
    """Settings and outcome of a fit."""

    preset: Literal["paper", "released"]
    centring: Centring
    penalty: float
    """Lambda."""
    seed: int
    settled: Settled
    """Whether, and why, it is finished (:func:`kc.consistency.finish.settled`)."""


@dataclass(frozen=True)
class FitResult:
    """A fitted g with its units; it splits features into parts."""

    net: ConsistencyNet
    """In evaluation mode, with Sigma over all training images."""
    history: pd.DataFrame
    """One row for each candidate: stage ``start``, ``round`` or ``epoch``."""
    normalisation: Normalisation
    train: Rows
    """Rows g was fitted on, including the validation cut."""
    validation: Rows
    """Rows of the validation cut."""
    chosen: Entry
    """The candidate that was kept."""
    about: FitAbout
    linear: LinearMap | None = None
    """For a factorised g, the full linear map in g's units; None if the fit was resumed."""

    @property
    def settled(self) -> Settled:
        """``plateau``, ``validation`` or ``no``: whether g is finished."""
        return self.about.settled

    def decompose(self, source: Any, target: Any, rows: ArrayLike | None = None) -> Decomposition:
        """Split a target feature into x(0)..x(K) and x(delta), in its own units, on the CPU.

        ``rows`` (mask or indices; None: all) chooses images.
        """
        pair, chosen = self._pair(source, target, rows)
        found = [parts for parts, _ in blocks(self.net, self.normalisation, pair, chosen)]
        components = torch.cat([parts.components.cpu() for parts in found], dim=1)
        return Decomposition(components, torch.cat([parts.delta.cpu() for parts in found]))

    def moments(self, source: Any, target: Any, rows: ArrayLike | None = None) -> Moments:
        """Return means and variances of all parts over the rows, in one pass."""
        pair, chosen = self._pair(source, target, rows)
        return moments(self.net, self.normalisation, pair, chosen)

    def variances(
        self,
        source: Any,
        target: Any,
        rows: ArrayLike | None = None,
        centring: Centring | None = None,
    ) -> pd.Series:
        """Return Var of x0..xK, xdelta and target, and the cross term [L20, Sec. 4.2].

        ``layer``: about one mean; ``channel``: about each channel's mean, as in the released code;
        None: as in the fit.
        """
        found = self.moments(source, target, rows)
        return series(found.variance(centring or self.about.centring), self.net.order)

    def instability(self, source: Any, target: Any, rows: ArrayLike | None = None) -> float:
        """Return Var(xdelta) / Var(x*), the fraction of variance unexplained (FVU = 1 - R^2)."""
        return self.moments(source, target, rows).share(self.about.centring)

    def _pair(self, source: Any, target: Any, rows: ArrayLike | None) -> tuple[FeaturePair, Rows]:
        device = self.net.logits.device
        pair = pair_up(source, target, device)
        check_fitting(self.net, pair)
        return pair, rows_of(rows, len(pair))


def linear_shares(
    result: FitResult, linear: LinearMap, pair: FeaturePair, subsets: Mapping[str, Rows]
) -> dict[str, float]:
    """Return, by subset, the share of Var(x*) that a linear map in g's units misses."""
    net, units = result.net, result.normalisation
    found = {}
    for name, rows in subsets.items():
        sums = Moments()
        for x, y in pair.in_order(rows):
            made = linear.apply(net.prepare(units.source(x)))
            delta = (units.target(y) - made) * units.target_std
            sums.add(torch.stack([delta, y]), net.channel_axis)
        found[name] = sums.share(result.about.centring)
    return found


def check_fitting(net: ConsistencyNet, pair: FeaturePair) -> None:
    """Refuse features whose shapes are not those of the network."""
    if (pair.source_shape, pair.target_shape) != (net.source_shape, net.target_shape):
        raise FeatureError(
            f"this g maps {net.source_shape} to {net.target_shape}; got source "
            f"{pair.source_shape} and target {pair.target_shape}. Fix: pass the layers it was "
            "fitted on, source first."
        )
