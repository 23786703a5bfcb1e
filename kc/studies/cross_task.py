"""Compute what networks of two tasks share [L20, Fig. 5]."""

import pandas as pd

from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import Column, TableText
from kc.settings.whole import Settings
from kc.studies.components import draw_components
from kc.studies.inconsistent import inconsistencies
from kc.studies.origin import write_study_table
from kc.studies.wording import INCONSISTENCY, ONE_CHAIN


def cross_task_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute the table of Fig. 5: one row for each direction and layer.

    A classifies all classes, B superclasses. Columns: direction (``b_from_a``: B's feature from
    A's), network, layer, reconstructed (1 - share of x^Delta, test images), reconstructed_train,
    variance and share of x^Delta, source_top1, target_top1.
    """
    frame = inconsistencies(plan.cases, "direction", settings.results)
    frame.insert(3, "reconstructed", 1 - frame["share"])
    frame.insert(4, "reconstructed_train", 1 - frame.pop("share_train"))
    return frame


def write(settings: Settings) -> None:
    """Write ``tables/cross_task`` and ``figures/fig5_*`` under the results folder."""
    plan = plan_of(settings, "cross_task")
    notes = [
        "A is trained on all classes, B only on superclasses. b_from_a: B's feature from A's; "
        "a_from_b: A's from B's. Each accuracy is that on the network's own task.",
        "The paper does not print which layer it looked at, and no numbers.",
        ONE_CHAIN,
    ]
    write_study_table(
        settings,
        "cross_task",
        plan,
        cross_task_table(settings, plan),
        TableText(
            title="Networks of two tasks",
            caption="Share of a feature's variance that g reconstructs from the network of the "
            "other task, test images [L20, Fig. 5].",
            notes=notes,
        ),
        {
            **INCONSISTENCY,
            "reconstructed": Column("reconstructed", ".3f"),
            "reconstructed_train": Column("the same on training images", ".3f"),
            "source_top1": Column("source's top-1 (%)", ".1f"),
            "target_top1": Column("target's top-1 (%)", ".1f"),
        },
    )
    what = "Two tasks: g(x) is what both networks know, x$^\\Delta$ what only the target knows."
    draw_components(settings, "cross_task", plan, "parts", what)
