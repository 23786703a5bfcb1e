"""Compute the features of a network that its pruned version lacks [L20, Fig. 4 left]."""

import pandas as pd

from kc.plans.records.compression import Compression
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.curves import CurveAxis
from kc.report.figures import write_figure
from kc.report.tables import Column, TableText
from kc.settings.whole import Settings
from kc.studies.components import draw_components
from kc.studies.fits import read_network_card
from kc.studies.inconsistent import inconsistencies, shares_figure
from kc.studies.origin import write_study_table
from kc.studies.wording import INCONSISTENCY, ONE_CHAIN


def compression_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute the table of Fig. 4 (left): one row for each removed share and layer.

    Columns: removed (share of the weights), removed_share (actual share), s_conv, s_fc
    (multiples of the standard deviation of a layer's weights), network, layer, top1 (of the
    pruned network), top1_original, variance and share of x^Delta on test images, share_train.
    """
    results = settings.results
    frame = inconsistencies(plan.cases, "removed", results)
    frame = frame.rename(columns={"source_top1": "top1", "target_top1": "top1_original"})
    frame["removed"] = frame["removed"].astype(float)
    pruned = [read_network_card(fit.source, results) for fit in plan.fits]
    for place, name in enumerate(("removed_share", "s_conv", "s_fc"), 1):
        frame.insert(place, name, [float(card[name]) for card in pruned])
    return frame


def write(settings: Settings) -> None:
    """Write ``tables/compression`` and ``figures/fig4_compression*`` under the results folder."""
    plan = plan_of(settings, "compression")
    study, results = settings.of(Compression), settings.results
    table = compression_table(settings, plan)
    notes = [
        "Magnitude pruning: weights below s times the standard deviation of their layer's are set "
        "to 0; s_conv for convolutions, s_fc for fully connected layers, found by bisection so "
        "that both lose the same share. Quantisation is left out.",
        f"Retrained for {study.retraining.epochs} epochs with fixed masks. x*: the original's "
        "feature; x: the pruned network's.",
        "The paper does not print which layer it looked at.",
        ONE_CHAIN,
    ]
    write_study_table(
        settings,
        "compression",
        plan,
        table,
        TableText(
            title="Compression: what pruning removes",
            caption="Variance of the original's feature that g cannot reconstruct from the pruned "
            "network's, test images [L20, Fig. 4, left].",
            notes=notes,
        ),
        {
            **INCONSISTENCY,
            "removed": Column("removed", ".1%"),
            "removed_share": Column("actually removed", ".2%"),
            "top1_original": Column("original's top-1 (%)", ".1f"),
        },
    )
    figure = shares_figure(
        table, CurveAxis("removed", "removed share of the weights"), study.layers
    )
    write_figure(figure, results / "figures" / "fig4_compression")
    what = f"x$^\\Delta$ is what pruning {max(study.removed):.1%} of the weights removed."
    draw_components(settings, "compression", plan, "parts", what)
