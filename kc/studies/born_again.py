"""Blind spots of born-again networks by generation [L20, Fig. 4 right]."""

from pathlib import Path

import pandas as pd

from kc.plans.studies import StudyPlan
from kc.settings.whole import Settings
from kc.studies.inconsistent import inconsistencies


def born_again_table(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Make the table behind Fig. 4 (right): a row a generation before the last, and layer.

    Columns: generation, network, layer, top1 (of that generation), top1_last, variance and share
    of x^Delta of the last generation on test images, share_train.
    """
    frame = inconsistencies(plan.cases, "generation", Path(settings.results))
    frame["generation"] = frame["generation"].astype(int)
    return frame.rename(columns={"source_top1": "top1", "target_top1": "top1_last"})
