"""Every pair of the other studies by the measures others use, beside the share of x^Delta."""

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
"""Fewer pairs than these are in no order worth telling."""


def baselines_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Make the table: a row a fit on all training images, each once.

    Fits on half the images and those of one superclass are left out.

    Parameters
    ----------
    settings
        Of it: results, device, consistency's ``memory_gb`` and ``kernel_size``.
    plan
        Fits by the study they are of; a fit of several studies is compared once.

    Returns
    -------
    DataFrame
        studies (joined by spaces), network, layer, source_network, target_network, source_layer,
        share and share_train (of x^Delta in Var(x*), from the fit's card), test_images, and
        :data:`kc.similarity.measures.NAMES`, measured on the test images.

    Raises
    ------
    StoreError
        A fit or store that is missing, or stores of different images.
    FeatureError
        Features that cannot be compared.
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
    """Rank every measure's agreement with what g gives: Spearman's rho with 1 - share, by name.

    ``linear_share`` is taken as 1 - its value, so that more is more alike in all. NaN where a
    measure is unknown or the same for all pairs, or where there are fewer than ``LEAST`` pairs.
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
        A fit, network or store that is missing, or is not what its name says.
    """
    plan = plan_of(settings, "baselines")
    table = baselines_table(settings, plan)
    write_study_table(
        settings,
        "baselines",
        plan,
        table,
        TableText(
            title="Other measures of similarity",
            caption="Every pair of the other studies by the measures others use, on the test "
            "images, beside the share of the target's variance that g cannot give.",
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
        "The best linear map is least squares with an intercept, fitted on all training images: "
        "from one position to the same one (positions), from the neighbourhood that one "
        "convolution of g sees (patches), or from image to image (flattened). Its number is Var "
        "of what it misses / Var(x*), test images, to be held against Var(xdelta) / Var(x*); what "
        "g gives beyond patches is of its higher orders: not linear, or from farther away.",
        "Unchanged by orthogonal maps and scaling: CKA, Procrustes, SVCCA, mean CCA; by any "
        "invertible linear map: mean CCA alone; PWCCA: by scaling alone. None of them has a "
        "direction but PWCCA's weights and the linear map, and none says what is shared.",
        "Empty cells: flattened features with too many units, and CCA where the ranks of both "
        "features together reach the number of rows: some correlations are 1 then whatever the "
        "features are; PWCCA also where a feature has more units than there are images.",
        "Positions of one image are not independent rows, so no number here has an interval.",
    ]


def _agreement(table: pd.DataFrame) -> list[str]:
    """Describe which measures order the pairs as g does; pairs share networks, so no interval."""
    found = agreement(table)
    told = [f"{name} {found[name]:+.2f}" for name in NAMES if not math.isnan(found[name])]
    if not told:
        return []
    return [
        f"Order of the {len(table)} pairs (Spearman's rho with the share g gives; the linear "
        f"map's number taken from 1): {', '.join(told)}. Pairs share networks and layers: no "
        "interval."
    ]
