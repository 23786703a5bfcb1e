"""Compare the stability of layers, corrected for the overfitting of g.

Deeper layers have fewer positions per weight of g, so g overfits them more: their held-out share
is too high and their share on g's own images too low. A difference has a sign only if held-out,
training and extrapolated shares agree.
"""

from itertools import pairwise
from typing import NamedTuple

import pandas as pd

from kc.names import LAYER_NODES, node_of
from kc.studies.intervals import Estimate, over_fits


class DepthComparison(NamedTuple):
    """Two layers of one architecture in one case; differences are the second minus the first."""

    case: str
    network: str
    first: str
    second: str
    test: Estimate
    train: Estimate
    extrapolated: Estimate | None
    """Held-out share without the excess from few images, which is assumed to fall as 1 / images."""
    growth: tuple[float, float] | None
    """Increase of the held-out share of each on half the images."""
    positions: tuple[float, float]
    """Positions per weight of g, of each."""

    @property
    def sign(self) -> int:
        """Return +1 if the second is less stable, -1 if the first is, 0 if it is undecided."""
        told = (self.test, self.train, self.extrapolated)
        signs = {found.sign for found in told if found is not None}
        return signs.pop() if len(signs) == 1 else 0


def compare_depths(shares: pd.DataFrame) -> list[DepthComparison]:
    """Compare each layer with the next deeper one of the same architecture and case."""
    found = []
    for (case, network), group in shares.groupby(["case", "network"], sort=False):
        layers = by_depth(str(network), list(group["layer"].unique()))
        found += [
            _compare(group, str(case), str(network), first, second)
            for first, second in pairwise(layers)
        ]
    return found


def by_depth(architecture: str, layers: list[str]) -> list[str]:
    """Sort layers from shallow to deep; unknown layers come last, in their order."""
    nodes = list(LAYER_NODES.get(architecture, {}).values())
    depth = {node: number for number, node in enumerate(nodes)}
    return sorted(layers, key=lambda layer: depth.get(node_of(architecture, layer), len(nodes)))


def _compare(
    group: pd.DataFrame, case: str, network: str, first: str, second: str
) -> DepthComparison:
    wide = _wide(group)
    test, train = (wide[second, of, "all"] - wide[first, of, "all"] for of in ("test", "train"))
    extrapolated, growth = None, None
    if "half" in set(group["images"]):
        # added by half the images; if it is c / images, all images have the same excess
        near, far = (wide[x, "test", "half"] - wide[x, "test", "all"] for x in (first, second))
        extrapolated = _estimate(case, test - (far - near))
        growth = (float(near.mean()), float(far.mean()))
    weights = group[group["images"] == "all"].groupby("layer")["positions_per_weight"].mean()
    return DepthComparison(
        case,
        network,
        first,
        second,
        _estimate(case, test),
        _estimate(case, train),
        extrapolated,
        growth,
        (float(weights[first]), float(weights[second])),
    )


def _wide(group: pd.DataFrame) -> pd.DataFrame:
    """Pivot the instability: rows are pairs of networks, columns layer, subset and images."""
    return group.assign(share=group["xdelta"] / group["target"]).pivot_table(
        index=["source_network", "target_network"],
        columns=["layer", "subset", "images"],
        values="share",
    )


def _estimate(case: str, values: "pd.Series[float]") -> Estimate:
    first, second = (list(values.index.get_level_values(level)) for level in (0, 1))
    return over_fits(case, first, second, list(values))
