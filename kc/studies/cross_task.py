"""What networks of two tasks share [L20, Fig. 5]."""

from pathlib import Path

import pandas as pd

from kc.plans.studies import StudyPlan
from kc.settings.whole import Settings
from kc.studies.inconsistent import inconsistencies


def cross_task_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Make the table behind Fig. 5: a row a direction and layer.

    A tells all classes, B superclasses. Columns: direction (``b_from_a``: B's feature from A's),
    network, layer, reconstructed (1 - share of x^Delta, test images), reconstructed_train,
    variance and share of x^Delta, source_top1, target_top1.
    """
    frame = inconsistencies(plan.cases, "direction", Path(settings.results))
    frame.insert(3, "reconstructed", 1 - frame["share"])
    frame.insert(4, "reconstructed_train", 1 - frame.pop("share_train"))
    return frame
