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
from kc.plans.studies import StudyPlan
from kc.settings.whole import Settings
from kc.similarity.measures import NAMES, similarities
from kc.studies.features import Bench
from kc.studies.fits import read_fit_card

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
        kernel_size=bench.settings.consistency.kernel_size,
        block_rows=source[fit.source_node].shard_rows,
        memory_gb=bench.settings.consistency.memory_gb,
    )
    return {"test_images": len(rows["test"])} | {name: float(found[name]) for name in NAMES}
