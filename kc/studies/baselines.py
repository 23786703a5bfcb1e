"""Compare similarity measures with the share of x^Delta on all pairs of the other studies."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kc.images.rows import rows_in
from kc.names import SUBSETS
from kc.plans.products import FitPlan
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import Column, TableText
from kc.settings.whole import Settings
from kc.similarity.measures import (
    MEASURES,
    MINIBATCH,
    NAMES,
    PATCHES,
    READINGS,
    WIDTH,
    Measuring,
    similarities,
)
from kc.studies.features import Bench
from kc.studies.fits import read_fit_card
from kc.studies.origin import write_study_table
from kc.studies.wording import INCONSISTENCY

LOG = logging.getLogger(__name__)
LEAST = 4
"""Fewest pairs for which a rank correlation is computed."""


def baselines_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute the table: one row for each fit on all training images.

    Fits on half the images or on one superclass are left out.

    Parameters
    ----------
    settings
        Used of it: results, device, consistency's ``memory_gb`` and ``kernel_size``.
    plan
        Fits by study; a fit of several studies is compared once.

    Returns
    -------
    DataFrame
        studies (joined by spaces), network, layer, source_network, target_network, source_layer,
        share and share_train (fraction of variance unexplained, FVU = 1 - R^2, from the fit's
        card), test_images, and
        :data:`kc.similarity.measures.NAMES`, measured on the test images.

    Raises
    ------
    StoreError
        A fit or store is missing, or stores list different images.
    FeatureError
        Features cannot be compared.
    """
    bench = Bench(settings)
    fits = {fit.name: fit for fit in plan.fits if fit.images == "all" and not fit.only}
    rows = []
    for name, fit in fits.items():
        about = {"studies": " ".join(_studies(plan, name))} | _about(bench, fit)
        rows.append(about | _measured(bench, fit))
        LOG.info("%s: CKA %.3f", name, rows[-1]["cka_positions"])
    return pd.DataFrame(rows)


def agreement(table: pd.DataFrame) -> "pd.Series[float]":
    """Return Spearman's rho of each measure with 1 - share, by name.

    ``linear_share`` is taken as 1 - its value, so that larger means more similar for all. NaN if a
    measure is unknown or the same for all pairs, or if there are fewer than ``LEAST`` pairs.
    """
    given = 1 - table["share"]
    found = {}
    for name in NAMES:
        values = 1 - table[name] if name.startswith("linear_share") else table[name]
        known = values.notna()
        ranks, of_g = values[known].rank(), given[known].rank()
        told = len(ranks) >= LEAST and min(ranks.std(), of_g.std()) > 0
        found[name] = float(ranks.corr(of_g)) if told else math.nan
    return pd.Series(found, name="agreement")


def _studies(plan: StudyPlan, name: str) -> list[str]:
    return [case for case, fits in plan.cases.items() if name in {fit.name for fit in fits}]


def _about(bench: Bench, fit: FitPlan) -> dict[str, Any]:
    shares: Mapping[str, float] = read_fit_card(fit, bench.results)["share_delta"]
    return {
        "network": fit.target.architecture,
        "layer": fit.target_layer,
        "source_network": fit.source.name,
        "target_network": fit.target.name,
        "source_layer": fit.source_layer,
        "share": float(shares["test"]),
        "share_train": float(shares["train"]),
    }


def _measured(bench: Bench, fit: FitPlan) -> dict[str, Any]:
    source, target = bench.store(fit.source), bench.store(fit.target)
    rows: dict[str, np.ndarray] = {name: rows_in(target.rows, name) for name in SUBSETS}
    found = similarities(
        source[fit.source_node],
        target[fit.target_node],
        rows["train"],
        rows["test"],
        device=bench.device,
        how=Measuring(
            kernel_size=bench.settings.consistency.kernel_size,
            block_rows=source[fit.source_node].shard_rows,
            memory_gb=bench.settings.consistency.memory_gb,
        ),
    )
    return {"test_images": len(rows["test"])} | {name: float(found[name]) for name in NAMES}


HEADERS = {
    "cka": "CKA",
    "svcca": "SVCCA",
    "mean_cca": "mean CCA",
    "pwcca": "PWCCA",
    "procrustes": "Procrustes",
    "linear_share": "missed by the best linear map",
}


def write(settings: Settings) -> None:
    """Write ``tables/baselines`` under the results folder.

    Raises
    ------
    StoreError
        A fit, network or store is missing, or is not what its name says.
    """
    plan = plan_of(settings, "baselines")
    table = baselines_table(settings, plan)
    write_study_table(
        settings,
        "baselines",
        plan,
        table,
        TableText(
            title="Similarity measures",
            caption="Similarity measures on the test images, for every pair of the other studies, "
            "and the fraction of the target's variance that g leaves unexplained (FVU).",
            notes=[*_what_is_measured(), *_agreement(table)],
        ),
        {
            **INCONSISTENCY,
            "test_images": Column("test images"),
            PATCHES: Column("missed by the best linear map, patches", ".3f"),
            MINIBATCH: Column("CKA by minibatch, flattened", ".3f"),
            **{
                f"{name}_{reading}": Column(f"{HEADERS[name]}, {reading}", ".3f")
                for name in MEASURES
                for reading in READINGS
            },
        },
    )


def _what_is_measured() -> list[str]:
    return [
        "positions: each position of a map is a row and its channels the units, as g sees it; "
        "sources of another size are resized bilinearly to the target's. flattened: each image is "
        f"a row and all its values are units; only where both features have at most {WIDTH} of "
        "them, but for CKA by minibatch.",
        "CKA is debiased (HSIC_1), exact over all rows; by minibatch it is averaged over batches "
        "of 256 images (Nguyen et al. 2021). SVCCA keeps 99 % of each feature's variance. PWCCA "
        "weights by the units of the feature of lower rank, the target's where they are equal.",
        "The best linear map is fitted by least squares with an intercept on all training images: "
        "from one position to the same one (positions), from the neighbourhood that one "
        "convolution of g sees (patches), or from image to image (flattened). Its number is the "
        "share of Var(x*) that it misses on test images, to compare with Var(xdelta) / Var(x*); "
        "what g explains beyond patches is due to its higher orders: not linear, or from farther "
        "away.",
        "Invariant to orthogonal maps and scaling: CKA, Procrustes, SVCCA, mean CCA; to any "
        "invertible linear map: only mean CCA; to scaling only: PWCCA. Only PWCCA's weights and "
        "the linear map have a direction, and no measure shows what is shared.",
        "Empty cells: flattened features with too many units; CCA if the ranks of both "
        "features together reach the number of rows, as some correlations are 1 then for any "
        "features; PWCCA also if a feature has more units than there are images.",
        "Positions of one image are not independent rows, so no number here has an interval.",
    ]


def _agreement(table: pd.DataFrame) -> list[str]:
    """Describe how well each measure orders the pairs as g does."""
    found = agreement(table)
    told = [f"{name} {found[name]:+.2f}" for name in NAMES if not math.isnan(found[name])]
    if not told:
        return []
    return [
        f"Order of the {len(table)} pairs (Spearman's rho with the share that g explains; for the "
        f"linear map 1 - its number): {', '.join(told)}. Pairs share networks and layers: no "
        "interval."
    ]
