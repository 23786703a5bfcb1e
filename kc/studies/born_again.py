"""Compute blind spots of born-again networks by generation [L20, Fig. 4 right]."""

import pandas as pd

from kc.plans.records.born_again import BornAgain
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.curves import CurveAxis
from kc.report.figures import write_figure
from kc.report.tables import Column, TableText
from kc.settings.whole import Settings
from kc.studies.components import draw_components
from kc.studies.inconsistent import inconsistencies, shares_figure
from kc.studies.origin import write_study_table
from kc.studies.wording import INCONSISTENCY, ONE_CHAIN


def born_again_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute the table of Fig. 4 (right): one row for each earlier generation and layer.

    Columns: generation, network, layer, top1 (of that generation), top1_last, variance and share
    of x^Delta of the last generation on test images, share_train.
    """
    frame = inconsistencies(plan.cases, "generation", settings.results)
    frame["generation"] = frame["generation"].astype(int)
    return frame.rename(columns={"source_top1": "top1", "target_top1": "top1_last"})


def write(settings: Settings) -> None:
    """Write ``tables/born_again`` and ``figures/fig4_born_again*`` under the results folder."""
    plan = plan_of(settings, "born_again")
    study, results = settings.of(BornAgain), settings.results
    table = born_again_table(settings, plan)
    notes = [
        f"Generation 1 is trained on labels, each later one on labels and, with weight "
        f"{study.distillation.weight:g}, on the one before it (temperature "
        f"{study.distillation.tau:g}), from a new seed.",
        f"x*: the feature of generation {study.generations}; x: that of the generation in the row.",
        "The paper does not print which layer it looked at.",
        ONE_CHAIN,
    ]
    write_study_table(
        settings,
        "born_again",
        plan,
        table,
        TableText(
            title="Born-again networks: blind spots by generation",
            caption=f"Variance of generation {study.generations}'s feature that g cannot "
            "reconstruct from an earlier one, test images [L20, Fig. 4, right].",
            notes=notes,
        ),
        {**INCONSISTENCY, "top1_last": Column("last generation's top-1 (%)", ".1f")},
    )
    figure = shares_figure(table, CurveAxis("generation", "generation"), study.layers)
    write_figure(figure, results / "figures" / "fig4_born_again")
    what = (
        "Blind spots of generation 1: the part of the last one's feature that g cannot reconstruct."
    )
    draw_components(settings, "born_again", plan, "parts", what)
