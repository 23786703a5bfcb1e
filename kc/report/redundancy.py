"""Table 4 as files."""

from pathlib import Path

from kc.plans.studies import plan_of
from kc.report.tables import write_table
from kc.settings.whole import Settings
from kc.studies.origin import origin, setting_notes
from kc.studies.redundancy import redundancy_table
from kc.studies.wording import ACCURACY, TEST_BOOTSTRAP


def write(settings: Settings) -> None:
    """Write ``tables/table4`` under the results folder."""
    plan = plan_of(settings, "redundancy")
    tasks = settings.redundancy.tasks
    spelled = "; ".join(f"{k}: {v.superclass} in {v.dataset}" for k, v in tasks.items())
    notes = [
        f"Networks A and B are trained on all classes; the tasks are part of them ({spelled}). "
        "g is fitted without labels on the task's training images only.",
        "Tails keep the last layer's rows of the task's classes and are trained further on the "
        "task's training images, the baselines A and B too, by one recipe on the same batches.",
        TEST_BOOTSTRAP,
        *setting_notes(settings, plan.networks),
    ]
    write_table(
        redundancy_table(settings, plan),
        Path(settings.results) / "tables" / "table4",
        title="Table 4: features without redundancy",
        caption="Top-1 accuracy on a part of the classes, from features of networks that tell all "
        "of them (A, B) and from those that A gives of B's through g; beside it the values printed "
        "in [L20, Table 4].",
        notes=notes,
        provenance=origin(settings, "redundancy", plan),
        columns=ACCURACY,
    )
