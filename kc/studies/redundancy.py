"""Remove redundant features: trained on all classes, tested on some [L20, Sec. 5, Table 4]."""

import pandas as pd

from kc.plans.records.redundancy import Redundancy
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import TableText
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.features import Bench
from kc.studies.origin import write_study_table
from kc.studies.reading import read_by_b
from kc.studies.wording import ACCURACY, TEST_BOOTSTRAP


def redundancy_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Compute Table 4: one row for each task, network, layer and features.

    g is fitted without labels on the task's images only; tails and baselines are trained on them.
    Columns as :func:`kc.studies.accuracies.accuracies` (gains over A and B), task, network, layer,
    paper.
    """
    bench = Bench(settings)
    frames = []
    for task, fits in plan.cases.items():
        for fit in fits:
            found = read_by_b(bench, fit, [settings.consistency.order])
            frame = accuracies(found, ("A", "B"))
            network, layer = fit.target.architecture, fit.target_layer
            frame.insert(0, "task", task)
            frame.insert(2, "network", network)
            frame.insert(3, "layer", layer)
            frame["paper"] = [
                printed.table4(name, network, layer, task) for name in frame["features"]
            ]
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def write(settings: Settings) -> None:
    """Write ``tables/table4`` under the results folder."""
    plan = plan_of(settings, "redundancy")
    tasks = settings.of(Redundancy).tasks
    spelled = "; ".join(f"{k}: {v.superclass} in {v.dataset}" for k, v in tasks.items())
    notes = [
        f"Networks A and B are trained on all classes; the tasks are some of them ({spelled}). "
        "g is fitted without labels on the task's training images only.",
        "Tails keep the last layer's rows of the task's classes and are trained further on the "
        "task's training images, the baselines A and B too, by one recipe on the same batches.",
        TEST_BOOTSTRAP,
    ]
    write_study_table(
        settings,
        "redundancy",
        plan,
        redundancy_table(settings, plan),
        TableText(
            title="Table 4: features without redundancy",
            caption="Top-1 accuracy on some of the classes, from features of networks trained on "
            "all of them (A, B), and from B's as g reconstructs them from A's; paper: the "
            "values printed in [L20, Table 4].",
            notes=notes,
        ),
        ACCURACY,
    )
