"""Compare the stability of layers, corrected for the overfitting of g.

Deeper layers have fewer positions per weight of g, so g overfits them more: their held-out share
is too high and their share on g's own images too low. One estimate decides: the logarithm of the
deeper layer's held-out share over the shallower's, each without the excess from few images. On a
log scale, because the spread of a share, and what g overfits, grow with the share. The excess is
measured by fits on half the images and taken to fall as 1 / images.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from kc.names import by_depth
from kc.studies.intervals import Estimate, over_fits, over_networks, sum_over_networks

PAPER = ("initialization", "training_data")
"""Cases in which layers are compared: those of [L20]."""


class DepthComparison(NamedTuple):
    """Two layers of one architecture in one case; differences are the second minus the first."""

    case: str
    network: str
    first: str
    second: str
    test: Estimate
    """Difference of held-out shares, of which g's overfitting is a part."""
    train: Estimate
    ratio: Estimate | None
    """Logarithm of the second held-out share over the first, without g's overfitting; None if
    that is unknown."""
    growth: tuple[float, float] | None
    """Factor on the held-out share of each on half the images, from different initialisations."""
    positions: tuple[float, float]
    """Positions per weight of g, of each."""

    @property
    def sign(self) -> int:
        """Return +1 if the second is less stable, -1 if the first is, 0 if it is undecided."""
        return 0 if self.ratio is None else self.ratio.sign


def compare_depths(shares: pd.DataFrame) -> list[DepthComparison]:
    """Compare each layer with the next deeper one of the same architecture and case."""
    found = []
    for (case, network), group in shares.groupby(["case", "network"], sort=False):
        if case not in PAPER:
            continue
        halved = shares[(shares["network"] == network) & (shares["case"] == PAPER[0])]
        layers = by_depth(str(network), group["layer"].unique())
        found += [
            _compare(group, halved, (str(case), str(network)), ends) for ends in pairwise(layers)
        ]
    return found


def _compare(
    group: pd.DataFrame, halved: pd.DataFrame, where: tuple[str, str], ends: tuple[str, str]
) -> DepthComparison:
    """Compare two layers; ``halved``: the fits whose pairs were also fitted on half the images."""
    case, network = where
    first, second = ends
    wide = _wide(group)
    differences = [wide[second, of, "all"] - wide[first, of, "all"] for of in ("test", "train")]
    weights = group[group["images"] == "all"].groupby("layer")["positions_per_weight"].mean()
    test, train = (over_fits(case, *_ends(values), list(values)) for values in differences)
    logs = _log(wide[second, "test", "all"] / wide[first, "test", "all"])
    ratio, growth = None, None
    if "half" in set(halved["images"]):
        grown = _grown(_wide(halved), ends)
        growth = (float(grown[first].mean()), float(grown[second].mean()))
        ratio = _corrected(case, logs, grown, ends)
    return DepthComparison(
        case, network, first, second, test, train, ratio, growth,
        (float(weights[first]), float(weights[second])),
    )  # fmt: skip


def _wide(group: pd.DataFrame) -> pd.DataFrame:
    """Pivot the instability: rows are pairs of networks, columns layer, subset and images."""
    return group.assign(share=group["xdelta"] / group["target"]).pivot_table(
        index=["source_network", "target_network"],
        columns=["layer", "subset", "images"],
        values="share",
    )


def _grown(wide: pd.DataFrame, ends: tuple[str, str]) -> pd.DataFrame:
    """Return the factor on the held-out share of each layer on half the images, by pair."""
    grown = {of: wide[of, "test", "half"] / wide[of, "test", "all"] for of in ends}
    return pd.DataFrame(grown).dropna()


def _corrected(
    case: str, logs: "pd.Series[float]", grown: pd.DataFrame, ends: tuple[str, str]
) -> Estimate | None:
    """Average the log ratio without g's overfitting; None if that is too large to extrapolate.

    With an excess of c / images, the share of all images without it is ``2 - growth`` times what
    it is with it.
    """
    left = 2 - grown
    if not (np.isfinite(logs).all() and (left > 0).all(axis=None)):
        return None
    excess = _log(left[ends[1]] / left[ends[0]])
    if case == PAPER[0]:
        return sum_over_networks([(*_ends(some), list(some)) for some in (logs, excess)])
    # other networks, so independent of them
    return over_fits(case, *_ends(logs), list(logs)).plus(
        over_networks(*_ends(excess), list(excess))
    )


def _ends(values: "pd.Series[float]") -> tuple[list[str], list[str]]:
    """Return the names of both networks of each pair."""
    first, second = (list(values.index.get_level_values(level)) for level in (0, 1))
    return first, second


def _log(values: "pd.Series[float]") -> "pd.Series[float]":
    return pd.Series(np.log(values.to_numpy()), index=values.index)
