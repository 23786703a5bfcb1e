"""Measure each fit of `known_difference`: usual measures, and what x^Delta holds of the factor."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from kc.consistency.data import FeaturePair, pair_up
from kc.consistency.decompose import blocks
from kc.consistency.order import Rows
from kc.consistency.result import FitResult
from kc.images.rows import rows_in
from kc.names import SUBSETS
from kc.plans.products import FitPlan
from kc.plans.records.known_difference import Factor, KnownDifference, groups_of
from kc.settings.whole import Settings
from kc.similarity.measures import Measuring
from kc.similarity.titration import differences_of
from kc.store import check_same_images, open_store
from kc.studies.features import Bench
from kc.studies.fits import read_fit_card
from kc.studies.known_difference.decoding import decoded, decoded_classes
from kc.studies.known_difference.factors import KnownFactor, known_factor

GRID = 2
"""Side of the grid to which x^Delta is averaged before the factor is decoded."""
MEASURES = ("decoded", "inside", "share", "linear", "cka")
"""Measures of a fit, the primary ones first; each is larger for a larger difference."""


class Residues(NamedTuple):
    """x^Delta of some images, reduced block by block."""

    pooled: Float[np.ndarray, "n d"]
    """Averaged over a coarse grid."""
    inside: float
    """Mean square of x^Delta on the object over that off it, relative to the same of x*. NaN
    without masks or for other features than maps."""


def fits_table(settings: Settings, about: KnownDifference) -> pd.DataFrame:
    """Measure all fits: a row for each factor, group and role.

    Columns: part (the factor), group, role, source_network, target_network, and ``MEASURES``.

    Raises
    ------
    StoreError
        A fit or store is missing, or stores list different images.
    """
    bench = Bench(settings)
    images = open_store(settings.results / "images" / f"{about.dataset}.json")
    test = rows_in(images.rows, "test")
    usual: dict[str, dict[str, float]] = {}
    rows = []
    for factor in about.factors:
        known = known_factor(about, factor, images, test)
        for group in groups_of(about, factor):
            for role, fit in group.fits.items():
                if fit.name not in usual:
                    usual[fit.name] = _usual(bench, fit)
                rows.append(
                    {"part": factor, "group": group.name, "role": role}
                    | {"source_network": fit.source.name, "target_network": fit.target.name}
                    | _of_factor(bench, fit, factor, known)
                    | usual[fit.name]
                )
    return pd.DataFrame(rows)


def _usual(bench: Bench, fit: FitPlan) -> dict[str, float]:
    source, target = bench.store(fit.source), bench.store(fit.target)
    subsets: dict[str, Rows] = {name: rows_in(target.rows, name) for name in SUBSETS}
    about = bench.settings.consistency
    how = Measuring(
        kernel_size=about.kernel_size, memory_gb=about.memory_gb, centring=about.centring
    )
    share = read_fit_card(fit, bench.results)["share_delta"]["test"]
    layers = source[fit.source_node], target[fit.target_node]
    return {"share": float(share)} | differences_of(*layers, subsets, bench.device, how)


def _of_factor(bench: Bench, fit: FitPlan, factor: Factor, known: KnownFactor) -> dict[str, Any]:
    source, target = bench.store(fit.source), bench.store(fit.target)
    check_same_images(source, target)
    result = bench.fit(fit)
    layers = source[fit.source_node], target[fit.target_node]
    pair = pair_up(*layers, bench.device, memory_gb=bench.settings.consistency.memory_gb)
    found = residues(result, pair, known)
    if factor == "grey":
        assert known.colours is not None
        reached = decoded(found.pooled, known.colours)
    else:
        assert known.labels is not None
        reached = decoded_classes(found.pooled, known.labels)
    return {"decoded": reached, "inside": found.inside}


def residues(result: FitResult, pair: FeaturePair, known: KnownFactor) -> Residues:
    """Compute x^Delta of the factor's images and reduce it, without keeping it whole."""
    pooled, begun = [], 0
    of_delta, of_target = Split(), Split()
    for parts, y in blocks(result.net, result.normalisation, pair, known.rows):
        pooled.append(coarse(parts.delta))
        if known.masks is not None and y.ndim == 4:
            mask = torch.from_numpy(known.masks[begun : begun + len(y)]).to(y.device)
            weight = F.adaptive_avg_pool2d(mask[:, None].float(), (y.shape[2], y.shape[3]))
            of_delta.add(parts.delta, weight)
            of_target.add(y, weight)
        begun += len(y)
    return Residues(np.concatenate(pooled), of_delta.ratio / of_target.ratio)


def coarse(delta: Float[Tensor, "n *feature"]) -> Float[np.ndarray, "n d"]:
    """Average maps over a grid of ``GRID`` x ``GRID``, tokens over their number; flatten."""
    if delta.ndim == 4:
        side = min(GRID, *delta.shape[2:])
        delta = F.adaptive_avg_pool2d(delta, side)
    elif delta.ndim == 3:
        delta = delta.mean(1)
    return np.asarray(delta.flatten(1).double().cpu().numpy())


class Split:
    """Mean square of maps about each channel's mean, on the object and off it."""

    def __init__(self) -> None:
        self.sums: Tensor | float = 0.0

    def add(self, maps: Float[Tensor, "n c y x"], on: Float[Tensor, "n 1 y x"]) -> None:
        """Add some images; ``on``: share of each position that is on the object."""
        wide, inner = maps.double(), on.double()
        # by place (on, off): number of positions, sum and sum of squares of each channel
        found = [
            torch.stack([each.sum((0, 2, 3)) for each in (one, one * wide, one * wide.square())])
            for one in (inner.expand_as(wide), (1 - inner).expand_as(wide))
        ]
        self.sums = torch.stack(found) + self.sums

    @property
    def ratio(self) -> float:
        """Mean square on the object over that off it; NaN if there is nothing in one of them."""
        if isinstance(self.sums, float):
            return math.nan
        count, first, second = self.sums.unbind(1)
        mean = first.sum(0) / count.sum(0)
        squares = second - 2 * mean * first + mean.square() * count
        on, off = (squares.sum(1) / count.sum(1)).tolist()
        return on / off if off > 0 else math.nan
