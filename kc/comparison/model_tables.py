"""Condense the comparison of many models: one number a pair, nearest models, a tree."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from kc.comparison.references import PIXELS
from kc.similarity.all_pairs import LINEAR

SHARES = (LINEAR, "xdelta")
"""Columns that are 0 if models are alike; all others are 1."""
CALIBRATED = "_calibrated"
NEAR: Mapping[str, str] = MappingProxyType(
    {
        "cka": f"cka{CALIBRATED}",
        "neighbours_flattened": f"neighbours_flattened{CALIBRATED}",
        LINEAR: LINEAR,
        "xdelta": "xdelta",
    }
)
"""Measures by which models are near, and the columns they are read from."""


class Tree(NamedTuple):
    """Models joined by average linkage of 1 - calibrated CKA."""

    links: np.ndarray
    """As ``scipy.cluster.hierarchy.linkage`` returns them."""
    names: list[str]
    """In the order of the numbers in ``links``."""

    @property
    def order(self) -> list[str]:
        """Names in the order of the leaves."""
        return [self.names[place] for place in hierarchy.leaves_list(self.links)]


def condensed(layers: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each source and target.

    With several layers each value is the mean over the target's layers of the best over the
    source's (largest similarity, smallest share); p is then left out.

    Columns: kind, source, target, layer_pairs, and the measures.
    """
    keys, pair = ["kind", "source", "target"], ["layer_source", "layer_target"]
    measures = [name for name in map(str, layers) if name not in (*keys, *pair)]
    several = layers.groupby(keys, sort=False).size().max() > 1
    kept = [name for name in measures if not (several and name.startswith("p_"))]
    rows = []
    for key, some in layers.groupby(keys, sort=False):
        by_target = some.groupby("layer_target", sort=False)
        values = {
            name: (by_target[name].min() if _is_share(name) else by_target[name].max()).mean()
            for name in kept
        }
        rows.append(dict(zip(keys, key, strict=True)) | {"layer_pairs": len(some)} | values)
    return pd.DataFrame(rows)


def _is_share(name: str) -> bool:
    return name in (*SHARES, "xdelta_train") or name.startswith("p_")


def nearest_models(models: pd.DataFrame) -> pd.DataFrame:
    """Return, for each model and measure, the nearest other model and what references give.

    Columns: target, measure, nearest, value, untrained (best of the untrained twins), pixels.
    """
    rows = []
    for target, some in models.groupby("target", sort=False):
        for measure, column in NEAR.items():
            own = some[some["kind"] == "model"].dropna(subset=[column]) if column in some else some
            if column not in some or own.empty:
                continue
            values = own[column].to_numpy(float)
            place = int(values.argmin() if measure in SHARES else values.argmax())
            rows.append(
                {"target": target, "measure": measure, "nearest": own["source"].iloc[place]}
                | {"value": float(values[place])}
                | {kind: _best(some, kind, measure, column) for kind in ("untrained", PIXELS)}
            )
    return pd.DataFrame(rows)


def _best(some: pd.DataFrame, kind: str, measure: str, column: str) -> float:
    values = some.loc[some["kind"] == kind, column]
    return float(values.min() if measure in SHARES else values.max())


def square(models: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a measure as a matrix: rows are sources, models first, columns are targets."""
    names, known = list(dict.fromkeys(models["source"])), set(models["target"])
    targets = [name for name in names if name in known]
    others = [name for name in names if name not in known]
    wide = models.pivot_table(index="source", columns="target", values=column, dropna=False)
    return wide.reindex(index=[*targets, *others], columns=targets)


def tree_of(models: pd.DataFrame) -> Tree | None:
    """Join the models by average linkage of 1 - calibrated CKA; None if a value is missing."""
    own = models[models["kind"] == "model"]
    wide = square(own, NEAR["cka"])
    values = (wide.to_numpy() + wide.to_numpy().T) / 2
    np.fill_diagonal(values, 1.0)
    if not np.isfinite(values).all():
        return None
    apart = squareform(np.clip(1 - values, 0, None), checks=False)
    return Tree(hierarchy.linkage(apart, "average"), list(wide.columns))
